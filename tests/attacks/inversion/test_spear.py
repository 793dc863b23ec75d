"""Exact batches from a linear layer with ReLU."""

from dataclasses import replace

import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.spear import Spear
from auditor.core.errors import AttackFailed
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from tests.attacks.inversion import cases

MODEL = cases.shared_model(cases.mlp(300, 200, 32, classes=10), input_shape=(300,))


def batch(n: int) -> Records:
    generator = torch.Generator().manual_seed(n)
    return Records(torch.randn(n, 300, generator=generator), torch.arange(n) % 10)


def double(update, records: Records):
    """The same update in double precision."""
    model = FunctionalModel(MODEL, dtype=torch.float64)
    before = {name: value.double() for name, value in update.before.items()}
    exact = model.gradient(before, Records(records.inputs.double(), records.labels), training=True)
    return replace(update, update={name: value.detach() for name, value in exact.items()})


def attacked(update):
    return Spear(Spear.Params()).run(update, cases.known(MODEL), RunContext(seed=4)).inputs


def error(found, records: Records) -> float:
    return float(torch.cdist(records.inputs.to(found), found).min(1).values.max() / records.inputs.norm(dim=1).mean())


@pytest.mark.parametrize("size", [2, 4])
def test_small_batches_are_exact_in_single_precision(size: int) -> None:
    records = batch(size)
    assert error(attacked(cases.gradient_update(MODEL, records)), records) < 1e-3


def test_eight_records_are_exact_in_double_precision() -> None:
    records = batch(8)
    assert error(attacked(double(cases.gradient_update(MODEL, records), records)), records) < 1e-5


def test_a_wrong_number_of_records_is_noticed() -> None:
    update = cases.gradient_update(MODEL, batch(4))
    with pytest.raises(AttackFailed, match="rank 4, not 6"):
        attacked(replace(update, records=6))


def test_noise_is_noticed() -> None:
    update = cases.gradient_update(MODEL, batch(3))
    noisy = {name: value + 0.01 * torch.randn_like(value) for name, value in update.update.items()}
    with pytest.raises(AttackFailed):
        attacked(replace(update, update=noisy))
