"""A run that was not altered verifies; every alteration is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from auditor.build import build
from auditor.report.check import differences
from auditor.report.differing import SHOWN
from auditor.report.render import EXPORTS, render
from auditor.report.verify import verify
from tests.report.example_results import EXAMPLES

DERIVED = "findings, risks and control statuses follow from the measurements"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = EXAMPLES["nothing"]().write(tmp_path_factory.mktemp("verify"))
    render(folder, ["html", "pdf", *EXPORTS])
    return folder


def found(folder: Path, *, full: bool = False) -> dict[str, tuple[str, ...]]:
    return {check.name: check.differs for check in verify(folder, full=full) if check.differs}


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "results.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False))


def test_files_are_what_the_results_give(rendered: Path) -> None:
    checks = [check for check in verify(rendered) if check.name.startswith("release/")]
    assert len(checks) == 4 + len(EXPORTS)
    assert all(check.holds for check in checks), checks


def test_judged_results_follow_from_measurements(run_dir: Path) -> None:
    checks = {check.name: check for check in verify(run_dir, full=False)}
    assert checks[DERIVED].holds, checks[DERIVED]
    assert checks["release/report.html is what these results give"].skipped == "the file is not there"


def test_a_changed_measurement_is_named(run_dir: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        share = value["outcomes"][0]["measurements"][0]
        share["value"], share["interval"]["low"], share["interval"]["high"] = 0.0, 0.0, 0.01

    rewrite(run_dir, change)
    assert any("expected" in line for lines in found(run_dir).values() for line in lines)


def test_a_changed_finding_is_named(run_dir: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        for finding in value["findings"]:
            finding["status"] = "within"

    rewrite(run_dir, change)
    lines = found(run_dir)[DERIVED]
    assert any("status" in line and "exceeds" in line for line in lines)


def told(folder: Path) -> list[str]:
    """Every line that the command prints."""
    import typer

    from auditor.cli.verify import verify as command

    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(folder), "--quick"]).output.splitlines()


@pytest.mark.parametrize("made_by", ["0.0.1, code 000000000000", None])
def test_another_version_of_the_tool_is_said_first(run_dir: Path, made_by: str | None) -> None:
    def change(value: dict[str, Any]) -> None:
        environment = value["run"]["environment"]
        environment.pop("auditor")
        environment.update({"auditor": made_by} if made_by else {})

    assert not told(run_dir)[0].startswith("This run was made by another version")
    rewrite(run_dir, change)
    assert DERIVED not in found(run_dir), "another version alone is no difference"
    rewrite(run_dir, lambda value: value["findings"][0].update(sentence="another"))
    first, *_ = told(run_dir)
    assert first.startswith("This run was made by another version of the tool (auditor 0.")
    assert (made_by or "code not recorded") in first
    assert f"(auditor {build()})" in first
    assert "only the version that made the run can tell which" in first


def test_differences_of_findings_are_plain_sentences(run_dir: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        one, other, *_ = value["findings"]
        one["status"], one["limit"] = "not_run", 0.5
        one["sentence"] = one["sentence"].replace("the attack", "this attack", 1)
        other["id"] = f"{other['id']}-renamed"
        value["claims"][0]["evidence"] = ["something else"]

    before = json.loads((run_dir / "results.json").read_text())
    rewrite(run_dir, change)
    lines = found(run_dir)[DERIVED]
    name, second = (finding["id"] for finding in before["findings"][:2])
    assert any(line.startswith(f"the status of the finding '{name}' reads “not_run”; “") for line in lines)
    assert any(line.startswith(f"the limit of the finding '{name}' is 0.5; ") for line in lines)
    assert f"the finding '{second}-renamed' is in the results and is not expected there" in lines
    assert f"the finding '{second}' is expected and is not in the results" in lines
    assert any("names “something else”, which is not expected" in line for line in lines)
    assert not any("[" in line.split("'")[0] for line in lines), "no index into the file"


def test_many_differences_are_counted(run_dir: Path) -> None:
    rewrite(run_dir, lambda value: [row.update(reason="x") for row in value["controls"]] and None)
    lines = found(run_dir)[DERIVED]
    assert len(lines) == SHOWN + 1
    assert lines[-1].endswith("more differences")


def test_a_page_differs_in_words_not_in_markup(rendered: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(rendered, folder)
    path = folder / "release" / "report.html"
    text = path.read_text()
    name = "release/report.html is what these results give"
    path.write_text(text.replace("The run holds no finding.", "The run holds one finding."))
    (line,) = found(folder)[name]
    assert "one finding" in line
    assert "no finding" in line
    assert "<" not in line
    path.write_text(text.replace("<body", "<body data-x='1'", 1))
    assert found(folder)[name] == ("the words are the same; markup, style or drawings are not",)


def test_a_changed_control_status_is_named(run_dir: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        row = next(r for r in value["controls"] if r["status"] == "evidence_contradicts")
        row["status"] = "evidence_supports"

    rewrite(run_dir, change)
    assert any("the status of the provision" in line for line in found(run_dir)[DERIVED])


def test_a_changed_array_is_named(run_dir: Path) -> None:
    path = next((run_dir / "arrays").iterdir())
    path.write_bytes(path.read_bytes()[:-8] + b"\x00" * 8)
    assert "is not the array" in found(run_dir)["arrays match the hashes in results.json"][0]


@pytest.mark.parametrize("file", ["report.html", "report.pdf", "evidence.json", "pia.json", "junit.xml"])
def test_a_changed_file_is_named(file: str, rendered: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(rendered, folder)
    path = folder / "release" / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert f"release/{file} is what these results give" in found(folder, full=True)


def test_another_attachment_is_named(rendered: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(rendered, folder)
    rewrite(folder, lambda value: value.update(name="another"))
    assert found(folder)["release/report.pdf carries these results"]


def test_unreadable_results_are_one_check(tmp_path: Path) -> None:
    checks = list(verify(tmp_path))
    assert len(checks) == 1
    assert "cannot be read" in checks[0].differs[0]


def test_differences_name_the_place() -> None:
    left, right = {"a": [1, {"b": 2}], "c": 1}, {"a": [1, {"b": 3}], "d": 1}
    assert list(differences(left, right, "x")) == [
        "x.a[1].b: 2, 3 expected",
        "x.c: 1, null expected",
        "x.d: null, 1 expected",
    ]


def test_command_says_what_differs(rendered: Path, tmp_path: Path) -> None:
    import shutil

    import typer

    from auditor.cli.verify import verify as command

    app = typer.Typer()
    app.command()(command)
    folder = tmp_path / "copy"
    shutil.copytree(rendered, folder)
    (folder / "release" / "report.html").write_text("<p>another report</p>")
    answer = CliRunner().invoke(app, [str(folder), "--quick"])
    assert answer.exit_code == 1
    assert "differs  release/report.html is what these results give" in answer.output


def test_report_command_prints_the_files(run_dir: Path) -> None:
    import typer

    from auditor.cli.report import report

    app = typer.Typer()
    app.command()(report)
    answer = CliRunner().invoke(app, [str(run_dir), "--formats", "html,card"])
    assert answer.exit_code == 0, answer.output
    assert [Path(line).name for line in answer.output.split()] == ["report.html", "model-card.md", "evidence.json"]
