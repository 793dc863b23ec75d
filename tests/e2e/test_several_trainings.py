"""Several trainings of the target: their figures stand beside the first one's, and decide nothing."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.audits import DIGITS, auditor, results_of, written

ATTACKS = ["membership/loss-threshold", "membership/lira", "membership/label-only"]


def run(folder: Path, **blocks: Any) -> dict[str, Any]:
    blocks = {"scenarios": ["released-model"], "attacks": ATTACKS, **blocks}
    done = auditor("run", written(folder, DIGITS, **blocks), "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return results_of(folder / "run")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("three")
    return folder / "run", run(folder, trainings=3)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(tmp_path_factory.mktemp("once"))


def figures(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{o['attack']}:{m['metric']}": m
        for o in results["outcomes"]
        for m in o["measurements"]
        if m["value"] is not None and "auc" in m["metric"]
    }


def test_every_attack_on_the_released_model_has_both_intervals(three: tuple[Path, dict[str, Any]]) -> None:
    found = figures(three[1])
    for attack in ATTACKS:
        across, both = (found[f"{attack}:{kind}_trainings_auc"] for kind in ("across", "with"))
        assert (across["n"], across["interval"]["over"]) == (3, "trainings; records fixed")
        assert both["interval"]["over"] == "records and trainings"
        assert (
            both["interval"]["high"] - both["interval"]["low"] > across["interval"]["high"] - across["interval"]["low"]
        )
        assert across["value"] != found[f"{attack}:auc"]["value"]


def test_the_first_training_and_its_verdicts_are_the_same(
    three: tuple[Path, dict[str, Any]], once: dict[str, Any]
) -> None:
    several, single = figures(three[1]), figures(once)
    assert {key: several[key] for key in single} == single
    judged = [(f["id"], f["status"], f["value"]) for f in once["findings"]]
    assert [(f["id"], f["status"], f["value"]) for f in three[1]["findings"]] == judged


def test_what_an_interval_is_over_is_said(three: tuple[Path, dict[str, Any]], once: dict[str, Any]) -> None:
    assert any("not another training of the model" in limit for limit in once["limits"])
    assert any("the first of 3 trainings" in limit for limit in three[1]["limits"])
    page = (three[0] / "release" / "report.html").read_text(encoding="utf-8")
    assert "Over records and trainings" in page or "over records and trainings" in page


def test_given_weights_are_one_training(tmp_path: Path) -> None:
    path = written(tmp_path, DIGITS, trainings=2, target={**DIGITS["target"], "weights": "weights.pt"})
    (tmp_path / "weights.pt").write_bytes(b"")
    done = auditor("run", path, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "one training" in done.stderr
