"""Exact table rows by the span of the first layer's gradient and the neurons that each row silences."""

import time
from dataclasses import replace

import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.row_span import candidates_in, row_span
from auditor.attacks.inversion.table_span import TableSpan
from auditor.core.errors import AttackFailed
from auditor.core.shape import Modality
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import Column, Preprocessing, Privatisation
from auditor.observations.records import Records
from tests.attacks.inversion import cases

LEVELS = (6, 9, 7, 8)
NUMBERS = 3
WIDTH = sum(LEVELS) + NUMBERS


def columns() -> tuple[Column, ...]:
    found, start = [], 0
    for i, size in enumerate(LEVELS):
        found.append(Column(f"c{i}", start, start + size, "categorical"))
        start += size
    return (*found, *(Column(f"x{i}", start + i, start + i + 1, "continuous") for i in range(NUMBERS)))


def table(n: int, *, seed: int = 0) -> Records:
    generator = torch.Generator().manual_seed(seed)
    parts = [
        torch.nn.functional.one_hot(torch.randint(size, (n,), generator=generator), size).float() for size in LEVELS
    ]
    numbers = torch.randn(n, NUMBERS, generator=generator)
    return Records(torch.cat([*parts, numbers], 1), torch.randint(2, (n,), generator=generator))


MODEL = cases.shared_model(
    cases.mlp(WIDTH, 80, 40, classes=2), input_shape=(WIDTH,), classes=2, modality=Modality.TABULAR,
    preprocessing=Preprocessing(columns=columns()), traits=cases.TRAITS | {"first_layer_linear", "categorical_column"},
)  # fmt: skip


def attacked(update, *, population=None, context=None, **params):
    attack = TableSpan(TableSpan.Params(**params))
    return attack.run(update, cases.known(MODEL, population), context or RunContext(seed=2))


def exact(found, records: Records) -> int:
    """How many records are returned to the last digit that single precision leaves."""
    apart = (records.inputs[:, None] - found.inputs[None]).abs().amax(2)
    return int((apart.min(1).values < 1e-2).sum())


@pytest.mark.parametrize("size", [2, 8, 14])
def test_batches_are_exact(size: int) -> None:
    records = table(size)
    found = attacked(cases.gradient_update(MODEL, records))
    assert exact(found, records) == size
    assert found.confidence.tolist() == [1.0] * size
    assert found.inputs.shape == records.inputs.shape


def test_numbers_that_categories_leave_open_are_found() -> None:
    """Two records of the same categories: their difference can be added to each row without leaving the span."""
    records = table(8, seed=3)
    inputs = records.inputs.clone()
    inputs[1, :-NUMBERS] = inputs[0, :-NUMBERS]
    records = Records(inputs, records.labels)
    update = cases.gradient_update(MODEL, records)
    weight, bias = update.update["1.weight"], update.update["1.bias"]
    assert len(candidates_in(row_span(weight, bias, noise=0), columns(), most=1000).free) == 1
    assert exact(attacked(update, population=table(200, seed=9)), records) == 8
    assert exact(attacked(update), records) == 8


def test_the_span_holds_the_batch_and_little_else() -> None:
    records = table(8)
    update = cases.gradient_update(MODEL, records)
    span = row_span(update.update["1.weight"], update.update["1.bias"], noise=0)
    candidates = candidates_in(span, columns(), most=1000)
    rows = (candidates.rows @ span.basis)[:, :-1].float()
    assert float(torch.cdist(records.inputs, rows).min(1).values.max()) < 1e-3
    assert len(rows) < 6 * 9 * 7 * 8 / 50


def test_a_scale_that_hides_the_length_changes_nothing() -> None:
    records = table(6)
    update = cases.gradient_update(MODEL, records)
    scaled = {name: value * 1e-3 for name, value in update.update.items()}
    clipped = replace(update, update=scaled, privatisation=Privatisation(clipping_norm=1e-3, clipped="client"))
    assert exact(attacked(clipped), records) == 6


@pytest.mark.parametrize(("steps", "rate"), [(2, 0.01), (4, 0.1)])
def test_several_local_steps_are_read_off_the_difference_of_weights(steps: int, rate: float) -> None:
    records = table(8)
    local = cases.recipe(algorithm="fedavg", batch_size=8 // steps, steps=steps, learning_rate=rate)
    assert exact(attacked(cases.fedavg_update(MODEL, records, local)), records) == 8


def test_a_trained_model_is_read_too() -> None:
    records, others = table(6), table(300, seed=4)
    functional = FunctionalModel(MODEL)
    state = functional.initial_state(0)
    for _ in range(60):
        slope = functional.gradient(state, others, training=True)
        state = {name: (value - 0.5 * slope[name]).detach() for name, value in state.items()}
    assert exact(attacked(cases.gradient_update(MODEL, records, state=state)), records) == 6


def test_noise_too_large_for_the_span_is_a_reason() -> None:
    update = cases.gradient_update(MODEL, table(6))
    generator = torch.Generator().manual_seed(1)
    noisy = {name: value + 0.1 * torch.randn(value.shape, generator=generator) for name, value in update.update.items()}
    for known in (0.0, 0.1):
        with pytest.raises(AttackFailed):
            attacked(replace(update, update=noisy, privatisation=Privatisation(noise_std=known)))


def test_little_noise_leaves_the_rows() -> None:
    records = table(6)
    update = cases.gradient_update(MODEL, records)
    generator = torch.Generator().manual_seed(1)
    noisy = {n: value + 1e-6 * torch.randn(value.shape, generator=generator) for n, value in update.update.items()}
    found = attacked(replace(update, update=noisy, privatisation=Privatisation(noise_std=1e-6)))
    assert exact(found, records) == 6


def test_more_records_than_values_are_a_reason() -> None:
    with pytest.raises(AttackFailed, match="every combination of the batch's categories"):
        attacked(cases.gradient_update(MODEL, table(60)))
    (reason,) = TableSpan(TableSpan.Params()).unmet(MODEL.shape.model_copy(update={"records_per_update": 60}))
    assert "60 records" in reason


def test_too_many_rows_in_the_span_are_a_reason() -> None:
    with pytest.raises(AttackFailed, match="at most 3 are tried"):
        attacked(cases.gradient_update(MODEL, table(8)), candidates=3)


def test_the_deadline_is_kept_and_said() -> None:
    context = RunContext(seed=1, deadline=time.monotonic() - 1)
    assert len(attacked(cases.gradient_update(MODEL, table(8)), context=context).inputs) == 0
    assert context.shortened == ["the test of candidate rows ended at the deadline"]


def test_a_network_in_which_no_neuron_is_silent_gives_nothing() -> None:
    """With tanh no neuron is silent, so no direction can be told apart."""
    smooth = replace(MODEL, build=lambda: torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(WIDTH, 80), torch.nn.Tanh(), torch.nn.Linear(80, 2)
    ))  # fmt: skip
    attack = TableSpan(TableSpan.Params())
    found = attack.run(cases.gradient_update(smooth, table(8)), cases.known(smooth), RunContext(seed=1))
    assert len(found.inputs) == 0
    assert "0 of 8 independent rows" in found.notes[0]
