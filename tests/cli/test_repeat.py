"""The recorded command can be repeated, and names no person and no machine."""

import shlex
from pathlib import Path

import pytest

from auditor.cli.repeat import repeatable
from auditor.cli.run import ExecutorName, FailOn


def test_every_option_that_was_given_is_recorded() -> None:
    said = repeatable(
        "auditor run",
        Path("samples/digits/audit.yaml"),
        out=Path("runs/mine"),
        fail_on=FailOn.EXCEEDS,
        executor=ExecutorName.PROCESSES,
        workers=2,
        plan=Path("plan.json"),
        against=None,
    )
    assert said == (
        "auditor run samples/digits/audit.yaml --out runs/mine --fail-on exceeds --executor processes --workers 2 "
        "--plan plan.json"
    )


@pytest.mark.parametrize("path", ["/home/jane.doe/audits/a.yaml", "../jane.doe/a.yaml", "x/../../jane.doe/a.yaml"])
def test_a_path_from_outside_is_its_last_name(path: str) -> None:
    said = repeatable("auditor run", Path(path), out=Path("/home/jane.doe/runs/ward 7"))
    assert said == "auditor run a.yaml --out 'ward 7'"


def test_what_a_shell_would_read_otherwise_is_quoted() -> None:
    said = repeatable("auditor run", Path("my audit;rm.yaml"), out=Path("$HOME"))
    assert shlex.split(said) == ["auditor", "run", "my audit;rm.yaml", "--out", "$HOME"]


def test_the_run_command_hands_it_to_the_audit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from auditor.cli.main import app

    class Reached(Exception):
        pass

    seen: dict[str, object] = {}

    def stop(*_: object, **options: object) -> None:
        seen.update(options)
        raise Reached

    monkeypatch.setattr("auditor.engine.run.run_audit", stop)
    audit = Path(__file__).parents[2] / "samples" / "digits" / "audit.yaml"
    done = CliRunner().invoke(app, ["run", str(audit), "--out", str(tmp_path / "mine"), "--workers", "1"])
    assert isinstance(done.exception, Reached)
    assert seen["command"] == "auditor run audit.yaml --out mine --fail-on never --workers 1"
