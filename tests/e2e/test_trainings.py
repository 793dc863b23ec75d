"""Audits of whole trainings: a planted leak is found from every place, and nothing where noise hides it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.audits import DIGITS, TUMOUR, auditor, results_of, written

SCENARIOS = [
    "honest-server",
    "secure-aggregation-server",
    "released-model",
    "colluding-clients",
    "stored-checkpoints",
    "malicious-client",
    "worsening-server",
]
ATTACKS = [
    "membership/gradient-alignment",
    "membership/loss-series",
    "membership/fedmia",
    "membership/cohort-unmixing",
    "membership/checkpoint-series",
    "membership/gradient-norm",
    "membership/label-only",
    "membership/gradient-ascent",
    "membership/relu-trap",
    "membership/quantile-regression",
    "inference/source",
]
LEAKING: dict[str, Any] = {
    # With seed 5, one of 23 controls met a split that chance gives once in 10,000: a control is a random draw too.
    "audit": {**DIGITS["audit"], "seed": 6},
    "target": {
        "model": "target.py:wide_model",
        "modality": "image",
        "data": {
            "path": "target.py:noisy_digits",
            "inputs": "inputs",
            "labels": "labels",
            "members": {"count": 240},
            "nonmembers": {"count": 240},
            "population": {"count": 120},
        },
    },
    "federation": {
        "algorithm": "fedavg",
        "clients": 6,
        "participation": {"scheme": "fixed_size", "count": 4},
        "rounds": 16,
        "local": {"epochs": 8, "batch_size": 8, "learning_rate": 0.3},
    },
    "scenarios": SCENARIOS,
    "attacks": ATTACKS,
    "parameters": {},
}
NOISE = {
    "mechanism": "local",
    "protects": "client",
    "adjacency": "zero_out",
    "noise_multiplier": 5.0,
    "clipping": {"norm": 0.5},
    "sampling": "fixed_size",
    "delta": 1.0e-5,
}


def figures(run: Path, metric: str = "auc") -> dict[str, dict[str, Any]]:
    """One metric of every attack that was measured, by scenario and attack."""
    return {
        f"{o['scenario']}:{o['attack']}": m
        for o in results_of(run)["outcomes"]
        for m in o["measurements"]
        if m["metric"] == metric and m["value"] is not None
    }


def ran(folder: Path, base: dict[str, Any], **blocks: Any) -> Path:
    done = auditor("run", written(folder, base, **blocks), "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("leaking"), {**DIGITS, **LEAKING})


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("hidden"), {**DIGITS, **LEAKING}, privacy=NOISE)


LEAST = {
    "honest-server:membership/gradient-alignment": 0.8,
    "honest-server:membership/loss-series": 0.8,
    "honest-server:membership/fedmia": 0.8,
    "honest-server:membership/gradient-norm": 0.7,
    "secure-aggregation-server:membership/gradient-alignment": 0.7,
    "secure-aggregation-server:membership/cohort-unmixing": 0.6,
    "released-model:membership/label-only": 0.7,
    "colluding-clients:membership/gradient-alignment": 0.7,
    "colluding-clients:membership/cohort-unmixing": 0.6,
    "colluding-clients:membership/checkpoint-series": 0.6,
    "stored-checkpoints:membership/checkpoint-series": 0.6,
    "malicious-client:membership/gradient-ascent": 0.7,
    "worsening-server:membership/gradient-ascent": 0.7,
    "worsening-server:membership/relu-trap": 0.95,
}


def test_a_planted_leak_is_found_from_every_place(leaking: Path) -> None:
    found = figures(leaking)
    assert LEAST.keys() <= found.keys()
    low = {key: found[key]["value"] for key, least in LEAST.items() if found[key]["value"] < least}
    assert not low
    named = figures(leaking, "tpr_at_fpr")["honest-server:membership/gradient-alignment"]
    assert named["interval"]["low"] > 3 * named["at"]["fpr"]


def test_the_leak_exceeds_its_limit(leaking: Path) -> None:
    exceeds = {f["outcome"] for f in results_of(leaking)["findings"] if f["status"] == "exceeds"}
    assert "honest-server:membership/fedmia@trained" in exceeds
    assert "secure-aggregation-server:membership/gradient-alignment@trained" in exceeds


def test_the_source_of_a_record_is_found(leaking: Path) -> None:
    found = figures(leaking, "answer_accuracy")["honest-server:inference/source"]
    assert found["interval"]["low"] > 2 * found["floor"]
    control = figures(leaking, "control_answer_accuracy")["honest-server:inference/source"]
    assert control["interval"]["low"] <= control["floor"]


def test_noise_hides_the_leak(hidden: Path) -> None:
    found = figures(hidden)
    assert found.keys() >= LEAST.keys()
    assert not {key: m["value"] for key, m in found.items() if m["value"] > 0.62}
    assert not [f for f in results_of(hidden)["findings"] if f["status"] == "exceeds"]


@pytest.mark.parametrize("run", ["leaking", "hidden"])
def test_blind_baselines_and_controls_stay_within_chance(run: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(run)
    blind = figures(folder, "blind_auc")
    assert len(blind) >= len(LEAST)
    assert all(m["interval"]["low"] <= 0.5 for m in blind.values())
    assert len(figures(folder, "control_auc")) == len(blind)
    claims = {claim["id"]: claim for claim in results_of(folder)["claims"]}
    assert claims["measured:controls:membership"]["supports"] is True
    assert claims["measured:controls:attribute"]["supports"] is True


def test_the_report_speaks_of_the_new_attacks(leaking: Path) -> None:
    page = (leaking / "release" / "report.html").read_text(encoding="utf-8")
    for words in ("Membership from sums over changing cohorts", "Which client a training record comes from"):
        assert words in page
    rows = {row["id"]: row for row in results_of(leaking)["coverage"]}
    assert "inference/source" in rows["i-attribute"]["attacks"]


def test_what_needs_more_says_so(leaking: Path) -> None:
    ends = {o["attack"]: o for o in results_of(leaking)["outcomes"] if o["status"] == "not_applicable"}
    assert "1,000 population records" in ends["membership/quantile-regression"]["reasons"][0]


@pytest.fixture(scope="module")
def wards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six numbers and a ward of four that tells half of the label: what is left to learn is in the model."""
    folder, random = tmp_path_factory.mktemp("wards"), np.random.default_rng(0)
    ward, label = random.integers(0, 4, 1200), random.integers(0, 4, 1200)
    label = np.where(random.random(1200) < 0.3, ward, label)
    names = [*(f"x{i}" for i in range(6)), "ward", "label"]
    table = np.column_stack([random.normal(size=(1200, 6)).round(4), ward, label])
    lines = [",".join([*(f"{v:g}" for v in row[:6]), f"ward{int(row[6])}", str(int(row[7]))]) for row in table]
    (folder / "wards.csv").write_text("\n".join([",".join(names), *lines]) + "\n")
    return ran(
        folder,
        {**TUMOUR, "privacy": {"mechanism": "none"}},
        target={
            "model": "target.py:ward_model",
            "data": {"path": "wards.csv", "labels": "label", "normalise": "standardise", "categorical": ["ward"]},
        },
        federation={"clients": 2, "rounds": 30, "local": {"epochs": 10, "batch_size": 8, "learning_rate": 0.3}},
        scenarios=["released-model"],
        attacks=["inference/attribute"],
        parameters={},
    )


def test_a_hidden_attribute_of_training_records_is_found_beyond_imputation(wards: Path) -> None:
    gain = figures(wards, "accuracy_gain")["released-model:inference/attribute"]
    assert gain["interval"]["low"] > 0.05
    outside = figures(wards, "control_accuracy_gain")["released-model:inference/attribute"]
    assert outside["interval"]["low"] <= 0.05
    accuracy = figures(wards, "answer_accuracy")["released-model:inference/attribute"]
    assert accuracy["floor_is"].startswith("imputation")
    (finding,) = [f for f in results_of(wards)["findings"] if f["metric"] == "accuracy_gain"]
    assert finding["status"] == "exceeds"
