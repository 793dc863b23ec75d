"""A server that alters the model before it sends it, from the audit file to the findings: imprint and trap weights."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.audits import DIGITS, auditor, results_of, written

PICTURES = {
    "model": "target.py:digits_model",
    "modality": "image",
    "data": {"path": "target.py:digits", "inputs": "inputs", "labels": "labels"},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Digits and a perceptron, FedSGD with batches of eight, a server that lies."""
    folder = tmp_path_factory.mktemp("malicious")
    audit = written(
        folder,
        DIGITS,
        audit={"name": "Lying server"},
        target=PICTURES,
        federation={"algorithm": "fedsgd", "clients": 6, "rounds": 4},
        scenarios=["malicious-server"],
        parameters={"inversion/imprint": {"bins": 128}, "inversion/gradient-matching": {"iterations": 5}},
        budget={"minutes": 5, "updates": 4},
    )
    done = auditor("run", audit, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return results_of(folder / "run")


def _recovered(results: dict[str, Any], attack: str) -> list[dict[str, Any]]:
    return [
        measurement
        for outcome in results["outcomes"]
        if outcome["attack"] == attack and outcome["scenario"] == "malicious-server"
        for measurement in outcome["measurements"]
        if measurement["metric"] == "recovered_share"
    ]


@pytest.mark.parametrize(("attack", "least"), [("inversion/imprint", 0.8), ("inversion/trap-weights", 0.3)])
def test_a_lying_server_copies_records(results: dict[str, Any], attack: str, least: float) -> None:
    shares = _recovered(results, attack)
    assert len(shares) == 2, "untrained and trained"
    for share in shares:
        assert share["n"] == 32
        assert share["value"] >= least
        assert share["interval"]["low"] > share["floor"]


def test_the_finding_exceeds_and_says_who_the_adversary_is(results: dict[str, Any]) -> None:
    exceeding = [f for f in results["findings"] if f["status"] == "exceeds" and "malicious-server" in str(f)]
    assert exceeding
    assert results["run"]["complete"]


def test_the_report_speaks_of_a_server_that_lies(results: dict[str, Any], tmp_path_factory: Any) -> None:
    folder: Path = max(tmp_path_factory.getbasetemp().glob("malicious*"))
    page = (folder / "run" / "release" / "report.html").read_text(encoding="utf-8")
    assert "alters the model" in page
