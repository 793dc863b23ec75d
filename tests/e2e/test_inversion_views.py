"""Whole runs of the adversaries who see sums over rounds, parts of updates, or a stolen checkpoint."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.audits import DIGITS, auditor, results_of, written

SHORT = {
    "inversion/gradient-matching": {"iterations": 5},
    "inversion/generative-prior": {"iterations": 5, "refinement": 2, "training_steps": 50, "starts": 2},
    "inversion/learned-inversion": {"steps": 40, "hidden": 32},
}


def outcomes(folder: Path, scenario: str, attacks: list[str], **federation: Any) -> dict[tuple[str, str], dict]:
    """By attack and state; only those of the scenario itself."""
    document = {
        **DIGITS,
        "federation": {**DIGITS["federation"], **federation},
        "scenarios": [scenario],
        "attacks": attacks,
        "parameters": SHORT | {name: {"iterations": 5} for name in attacks if "disagg" in name or "stolen" in name},
    }
    done = auditor("run", written(folder, document), "--out", folder / "run")
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1), done.stderr
    found = results_of(folder / "run")["outcomes"]
    return {(o["attack"], o["state"]): o for o in found if o["scenario"] == scenario}


def share(outcome: dict) -> float:
    assert outcome["status"] == "measured", outcome["reasons"]
    (value,) = [m["value"] for m in outcome["measurements"] if m["metric"] == "recovered_share"]
    return value


def test_sums_of_single_records_are_separated_and_read(tmp_path: Path) -> None:
    name = "inversion/gradient-disaggregation"
    found = outcomes(
        tmp_path, "secure-aggregation-server", [name], algorithm="fedsgd", clients=96, rounds=300,
        local={"batch_size": 1, "learning_rate": 1e-4}, participation={"scheme": "fixed_size", "count": 20},
        aggregation={"secure": {"enabled": True}},
    )  # fmt: skip
    assert share(found[name, "initial"]) >= 0.5
    assert "separated into the updates of" in " ".join(found[name, "initial"]["notes"])


def test_full_participation_is_a_reason_not_an_error(tmp_path: Path) -> None:
    name = "inversion/gradient-disaggregation"
    found = outcomes(tmp_path, "secure-aggregation-server", [name], aggregation={"secure": {"enabled": True}})
    (outcome,) = found.values()
    assert outcome["status"] == "not_applicable"
    assert any("cohorts that change" in reason for reason in outcome["reasons"])


@pytest.mark.parametrize("local", [{"momentum": 0.9}, {"optimizer": "adam"}])
def test_a_stolen_checkpoint_of_one_record_is_read(tmp_path: Path, local: dict) -> None:
    name = "inversion/stolen-checkpoint"
    found = outcomes(
        tmp_path, "stolen-checkpoint", [name], clients=96, local={"batch_size": 8, "learning_rate": 0.05, **local}
    )
    assert share(found[name, "initial"]) == 1.0


def test_models_of_other_records_are_measured_beside_what_they_make_up(tmp_path: Path) -> None:
    names = ["inversion/generative-prior", "inversion/learned-inversion"]
    found = outcomes(tmp_path, "prepared-server", names, clients=48)
    for name in names:
        assert share(found[name, "initial"]) >= 0
        (quality,) = [m for m in found[name, "initial"]["measurements"] if m["metric"] == "psnr"]
        assert "nearest sample of the prior" in quality["floor_is"]


def test_the_first_layer_of_an_update_is_read(tmp_path: Path) -> None:
    name = "inversion/linear-layer"
    found = outcomes(tmp_path, "partial-update", [name], clients=96, local={"batch_size": 8, "learning_rate": 0.05})
    assert share(found[name, "initial"]) == 1.0


def test_sums_are_read_where_the_server_alters_the_model_for_each_client(tmp_path: Path) -> None:
    name = "inversion/disjoint-imprint"
    found = outcomes(
        tmp_path, "malicious-server", [name], algorithm="fedsgd", clients=6, local={"batch_size": 4},
        aggregation={"secure": {"enabled": True}},
    )  # fmt: skip
    assert share(found[name, "initial"]) >= 0.8
