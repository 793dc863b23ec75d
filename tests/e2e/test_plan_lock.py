"""What a saved plan and a run folder hold on to: changed settings are refused by name, with the right file."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.audits import TUMOUR, auditor, results_of, written

ONE = {"attacks": ["membership/loss-threshold"], "epsilon_audit": {"enabled": False}}


def audit(folder: Path, **blocks: Any) -> Path:
    return written(folder, TUMOUR, **{**ONE, **blocks})


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a saved plan and a run that kept to it."""
    folder = tmp_path_factory.mktemp("plan")
    file = audit(folder, privacy={"claimed_epsilon": 16.0})
    assert auditor("plan", file, "--save", folder / "plan.json").returncode == 0
    done = auditor("run", file, "--plan", folder / "plan.json", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ({"privacy": {"claimed_epsilon": 3.0}}, "privacy.claimed_epsilon: 16.0 was fixed, 3.0 now"),
        (
            {"privacy": {"claimed_epsilon": 16.0, "noise_multiplier": 2.0}},
            "privacy.noise_multiplier: 1.0 was fixed, 2.0 now",
        ),
        ({"privacy": {"claimed_epsilon": 16.0}, "audit": {"seed": 99}}, "audit.seed: 5 was fixed, 99 now"),
    ],
)
def test_a_changed_setting_is_refused_with_its_name_and_the_file(
    planned: Path, tmp_path: Path, blocks: dict[str, Any], told: str
) -> None:
    changed = audit(tmp_path, **blocks)
    against_plan = auditor("run", changed, "--plan", planned / "plan.json", "--out", tmp_path / "new")
    in_folder = auditor("run", changed, "--out", planned / "run")
    with_both = auditor("run", changed, "--plan", planned / "plan.json", "--out", planned / "run")
    for done in (against_plan, in_folder, with_both):
        assert done.returncode == 2
        assert told in " ".join(done.stderr.split())
    for done in (against_plan, with_both):
        assert str(planned / "plan.json") in "".join(done.stderr.split())
        assert "audit.lock.yaml" not in done.stderr
    assert "audit.lock.yaml" in in_folder.stderr
    assert results_of(planned / "run")["settings"]["privacy"]["claimed_epsilon"] == 16.0


def test_budget_and_report_may_change_and_the_run_goes_on(planned: Path, tmp_path: Path) -> None:
    blocks = {"privacy": {"claimed_epsilon": 16.0}, "budget": {"minutes": 7}, "report": {"audience": "dpia"}}
    done = auditor("run", audit(tmp_path, **blocks), "--plan", planned / "plan.json", "--out", planned / "run")
    assert done.returncode == 0, done.stderr


def test_verification_compares_the_declared_settings_with_the_plan(planned: Path) -> None:
    file = planned / "run" / "results.json"
    kept = file.read_text()
    try:
        file.write_text(kept.replace('"claimed_epsilon": 16.0', '"claimed_epsilon": 30.0'))
        assert file.read_text() != kept
        done = auditor("verify", planned / "run", "--quick")
    finally:
        file.write_text(kept)
    assert "privacy.claimed_epsilon: 16.0 was fixed, 30.0 now in the results" in " ".join(done.stdout.split())
    assert done.returncode == 1
