"""Attacks of a passive server as a function of partition skew: one run, its curve in results and report."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.audits import DIGITS, auditor, results_of, written
from tests.e2e.test_trainings import LEAKING

ATTACKS = ["membership/gradient-alignment", "membership/fedmia", "membership/loss-series"]
SKEWS = (0.1, 1.0, 100.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("skew")
    sweep = {"setting": "federation.partition.alpha", "values": list(SKEWS), "attacks": ATTACKS}
    path = written(
        folder,
        {**DIGITS, **LEAKING},
        federation={"rounds": 8, "participation": {"scheme": "full"}},
        scenarios=["honest-server"],
        attacks=ATTACKS,
        sweeps=[sweep],
        report={"formats": ["html"]},
    )
    done = auditor("run", path, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def figure(outcome: dict[str, Any], metric: str) -> dict[str, Any]:
    return next(m for m in outcome["measurements"] if m["metric"] == metric and m["value"] is not None)


def test_every_skew_has_every_attack_with_its_blind_baseline(run: Path) -> None:
    (sweep,) = results_of(run)["sweeps"]
    assert [point["value"] for point in sweep["points"]] == list(SKEWS)
    for point in sweep["points"]:
        assert {outcome["attack"]: outcome["status"] for outcome in point["outcomes"]} == dict.fromkeys(
            ATTACKS, "measured"
        )


def test_the_blind_baseline_stands_under_every_figure(run: Path) -> None:
    """Where labels tell the client, the attack is read against that and not against a coin."""
    (sweep,) = results_of(run)["sweeps"]
    for outcome in sweep["points"][0]["outcomes"]:
        assert figure(outcome, "auc")["floor"] == figure(outcome, "blind_auc")["value"]
        assert figure(outcome, "auc")["interval"]["low"] > figure(outcome, "blind_auc")["value"]


def test_labels_alone_tell_the_client_where_they_are_uneven(run: Path) -> None:
    """What skew gives away without the model; the labels here are drawn at random, so an even deal gives nothing."""
    (sweep,) = results_of(run)["sweeps"]
    blind = [figure(point["outcomes"][0], "blind_auc") for point in sweep["points"]]
    assert blind[0]["interval"]["low"] > 0.5
    assert blind[0]["value"] > blind[-1]["value"] + 0.1
    assert blind[-1]["interval"]["low"] <= 0.5
    leak = {o["attack"]: figure(o, "auc")["value"] for o in sweep["points"][-1]["outcomes"]}
    assert min(leak.values()) > 0.6, leak


def test_the_curve_is_drawn_and_enters_no_verdict(run: Path) -> None:
    page = (run / "release" / "report.html").read_text(encoding="utf-8")
    assert "Evenness of labels over clients" in page
    assert "sweep-0-0" in page
    results = results_of(run)
    judged = json.dumps([results["outcomes"], results["findings"], results["claims"], results["risks"]])
    assert "alpha=" not in judged
