"""Closed-form inversion of the first layer."""

import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.linear_layer import LinearLayer
from auditor.observations.records import Records
from tests.attacks.inversion import cases

MODEL = cases.shared_model(cases.mlp(64, 400, classes=10), input_shape=(1, 8, 8))


def batch(n: int, seed: int = 0) -> Records:
    generator = torch.Generator().manual_seed(seed)
    return Records(torch.randn(n, 1, 8, 8, generator=generator), torch.arange(n) % 10)


def attacked(update):
    return LinearLayer(LinearLayer.Params()).run(update, cases.known(MODEL), RunContext())


def test_one_record_is_exact() -> None:
    records = batch(1)
    found = attacked(cases.gradient_update(MODEL, records))
    assert torch.allclose(found.inputs, records.inputs, atol=1e-4)


def test_one_record_is_exact_after_several_local_steps() -> None:
    records = batch(1)
    local = cases.recipe(algorithm="fedavg", epochs=5, steps=5, batch_size=1, learning_rate=0.01)
    found = attacked(cases.fedavg_update(MODEL, records, local))
    assert torch.allclose(found.inputs, records.inputs, atol=1e-3)


def test_sure_outputs_of_a_batch_are_true_records() -> None:
    records = batch(3, seed=1)
    found = attacked(cases.gradient_update(MODEL, records))
    sure = found.inputs[found.confidence > 0.5]
    distances = torch.cdist(sure.flatten(1), records.inputs.flatten(1)).min(1).values
    assert len(sure)
    assert float(distances.max()) < 0.05


def test_never_more_outputs_than_records() -> None:
    assert len(attacked(cases.gradient_update(MODEL, batch(6))).inputs) <= 6
