"""What is legal and probably a slip is said with its place, and nothing is said where all is well."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditor.targets.load import load_target
from tests.cli.conftest import Run, auditor  # noqa: F401  (a fixture)
from tests.targets.projects import LINEAR, document, write_audit

PRIVATE: dict[str, Any] = {
    "mechanism": "dp_sgd",
    "protects": "record",
    "adjacency": "add_or_remove",
    "sampling": "poisson",
    "noise_multiplier": 1.0,
    "clipping": {"norm": 1.0},
    "delta": 1e-5,
}


def table(folder: Path, *, constant: tuple[str, ...] = (), typos: int = 0) -> None:
    """120 rows of four numbers, a town and a label."""
    rng = np.random.default_rng(0)
    names = ["age", "dose", "days", "hours", "town", "outcome"]
    rows = []
    for k in range(120):
        label = f"odd{k}" if k < typos else ("well", "ill")[k % 2]
        cells = [*(f"{x:.4f}" for x in rng.normal(size=4)), ("north", "south")[k // 2 % 2], label]
        rows.append([("7" if n in constant else c) for n, c in zip(names, cells, strict=True)])
    (folder / "d.csv").write_text("\n".join([",".join(names), *(",".join(r) for r in rows)]) + "\n")


def given(**more: Any) -> dict[str, Any]:
    code = "from torch import nn\ndef build(features):\n    return nn.Linear(features, 4)\n"
    return {"code": code, "data": {"path": "d.csv", "labels": "outcome"}, "target": {"modality": "tabular"}, **more}


def warnings(folder: Path, **more: Any) -> list[str]:
    """Only those of this module: each begins with its place."""
    return [w for w in load_target(document(folder, **given(**more))).warnings if w.startswith("audit.yaml:")]


def test_nothing_is_said_where_all_is_well(tmp_path: Path) -> None:
    table(tmp_path)
    assert warnings(tmp_path) == []
    assert warnings(tmp_path, privacy={**PRIVATE, "claimed_epsilon": 50.0}) == []
    assert warnings(tmp_path, privacy={**PRIVATE, "noise_multiplier": 0.0}) == []


def test_no_noise_and_a_claim(tmp_path: Path) -> None:
    table(tmp_path)
    (said,) = warnings(tmp_path, privacy={**PRIVATE, "noise_multiplier": 0.0, "claimed_epsilon": 3.0})
    assert "privacy.noise_multiplier is 0, so no noise is added and the claimed epsilon 3 cannot hold" in said
    assert said.endswith("raise it, or take out privacy.claimed_epsilon")


def test_a_delta_above_one_over_the_records(tmp_path: Path) -> None:
    table(tmp_path)
    (said,) = warnings(tmp_path, privacy={**PRIVATE, "delta": 0.05})
    assert "privacy.delta is 0.05, larger than one over the" in said
    assert "records that are protected" in said
    assert said.endswith("name a tenth of that, or less")
    real = {"records": 10, "reason": "as deployed"}
    assert warnings(tmp_path, privacy={**PRIVATE, "delta": 0.05, "override": real}) == []
    clients = {**PRIVATE, "mechanism": "dp_fedavg", "protects": "client", "delta": 0.3}
    (said,) = warnings(tmp_path, privacy=clients)
    assert "the 4 clients that are protected (0.25)" in said


@pytest.mark.parametrize("constant", [("dose",), ("town",), ("age", "dose", "days", "town")])
def test_a_constant_column(tmp_path: Path, constant: tuple[str, ...]) -> None:
    table(tmp_path, constant=constant)
    (said,) = warnings(tmp_path)
    assert all(f"'{name}'" in said for name in constant[:3])
    assert ("and 1 more" in said) == (len(constant) == 4)
    assert "same value in all 120 records" in said
    assert "target.data.inputs: column" in said


def test_a_pixel_that_never_changes_is_no_mistake(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (80, 6, 6), dtype=np.uint8)
    pictures[:, 0, 0] = 0
    np.savez(tmp_path / "d.npz", images=pictures, labels=np.arange(80) % 4)
    data = {"path": "d.npz", "inputs": "images", "labels": "labels"}
    told = load_target(document(tmp_path, code=LINEAR, data=data)).warnings
    assert not [warning for warning in told if "same value" in warning]


@pytest.mark.parametrize(("typos", "words"), [(1, "1 label occurs only once"), (2, "2 labels occur only once")])
def test_a_label_that_occurs_once(tmp_path: Path, typos: int, words: str) -> None:
    table(tmp_path, typos=typos)
    (said,) = warnings(tmp_path)
    assert f"target.data.labels: {words} in 120 records; look for a typo" in said
    assert "odd" not in said, "no value of a record leaves the data"


def test_check_prints_each_with_its_place(tmp_path: Path, auditor: Run) -> None:  # noqa: F811
    table(tmp_path, constant=("dose",), typos=1)
    ran = auditor("check", write_audit(tmp_path, **given(privacy={**PRIVATE, "delta": 0.05})))
    assert ran.code == 0, ran
    said = [line for line in ran.out.splitlines() if line.startswith("warning     audit.yaml:")]
    assert len(said) == 3
    assert all(line.removeprefix("warning     audit.yaml:").split(":")[0].isdigit() for line in said)
