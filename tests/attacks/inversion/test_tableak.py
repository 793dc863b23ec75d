"""The ensemble for tables."""

import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.tableak import TabLeak, aligned_to, pooled
from auditor.attacks.inversion.unknowns import Unknowns
from auditor.core.shape import Modality
from auditor.observations.model import Column, Preprocessing
from auditor.observations.records import Records
from tests.attacks.inversion import cases

COLUMNS = (
    Column("colour", 0, 3, "categorical"),
    Column("age", 3, 4, "continuous"),
    Column("ward", 4, 8, "categorical"),
    Column("dose", 8, 9, "continuous"),
)
MODEL = cases.shared_model(
    cases.mlp(9, 64, 64, classes=2), input_shape=(9,), classes=2, modality=Modality.TABULAR,
    preprocessing=Preprocessing(columns=COLUMNS),
)  # fmt: skip
ROWS = Records(
    torch.tensor([[0.0, 1, 0, 0.5, 0, 0, 0, 1, -1.0], [1.0, 0, 0, -0.7, 1, 0, 0, 0, 1.2]]), torch.tensor([0, 1])
)


def test_rows_of_a_small_batch_are_found() -> None:
    update = cases.gradient_update(MODEL, ROWS)
    found = TabLeak(TabLeak.Params(iterations=300)).run(update, cases.known(MODEL), RunContext(seed=1))
    nearest = torch.cdist(ROWS.inputs, found.inputs).min(1).values
    assert float(nearest.max()) < 0.5
    assert found.confidence is not None
    assert float(found.confidence.min()) > 0.5


def test_rows_are_brought_into_one_order() -> None:
    aligned = aligned_to(torch.stack([ROWS.inputs, ROWS.inputs.flip(0)]), ROWS.inputs)
    assert torch.equal(aligned[0], aligned[1])


def test_cells_are_pooled_by_vote_and_median() -> None:
    other = ROWS.inputs.clone()
    other[0, :4] = torch.tensor([1.0, 0, 0, 9.0])
    rows, agreement = pooled(torch.stack([ROWS.inputs, other, ROWS.inputs]), Unknowns.of(MODEL, device="cpu"))
    assert torch.equal(rows, ROWS.inputs)
    assert agreement.tolist() == pytest.approx([(2 / 3 + 2 / 3 + 1 + 1) / 4, 1.0])
