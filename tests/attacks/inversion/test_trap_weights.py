"""Trap weights: rows that answer to few records, what they give, and where they cannot work."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from auditor.attacks.base import AlteredModel, AltersModel, RunContext
from auditor.attacks.inversion.trap_weights import TrapWeights, trap_rows
from auditor.core.errors import AttackFailed
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import Preprocessing, SharedModel
from auditor.observations.records import Records
from tests.attacks.inversion import cases

CONTEXT = RunContext(seed=3)
BATCH = 10


def model(build: Callable[[], nn.Module]) -> SharedModel:
    scaling = Preprocessing(mean=(0.5,), std=(0.25,))
    return cases.shared_model(build, input_shape=(1, 12, 12), preprocessing=scaling, records=BATCH)


MODEL = model(cases.mlp(144, 300, classes=10))


def pictures(n: int, seed: int) -> Records:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 1, 6, 6, generator=generator)
    values = nn.functional.interpolate(coarse, (12, 12), mode="bilinear")
    return Records((values - 0.5) / 0.25, torch.randint(10, (n,), generator=generator))


OTHERS = pictures(300, 99)


def altered(target: SharedModel = MODEL, others: Records | None = OTHERS) -> AlteredModel:
    state = FunctionalModel(target).initial_state(0)
    return TrapWeights(TrapWeights.Params()).alter(target, state, cases.known(target, others), CONTEXT)


def share_found(update, records: Records) -> float:
    found = TrapWeights(TrapWeights.Params()).run(update, cases.known(MODEL, OTHERS), CONTEXT).inputs
    assert len(found) <= len(records)
    error = torch.cdist(records.inputs.flatten(1), found.flatten(1)).min(1).values / 12
    return float((error < 0.01).float().mean())


def test_it_says_that_it_alters_the_model() -> None:
    assert isinstance(TrapWeights(TrapWeights.Params()), AltersModel)


def test_only_the_first_layers_values_change() -> None:
    state, sent = FunctionalModel(MODEL).initial_state(0), altered()
    assert sent.model is MODEL
    changed = {name for name, value in sent.state.items() if not value.equal(state[name])}
    assert changed == {"1.weight", "1.bias"}
    assert all(value.shape == state[name].shape for name, value in sent.state.items())


def test_rows_fire_for_the_share_that_was_asked_for_on_records_not_fitted_to() -> None:
    state = FunctionalModel(MODEL).initial_state(0)
    rows, offsets = trap_rows(state["1.weight"], OTHERS, MODEL, share=0.1, generator=CONTEXT.generator())
    fresh = pictures(500, 5).inputs.flatten(1).double()
    assert float((fresh @ rows.T + offsets > 0).double().mean()) == pytest.approx(0.1, abs=0.02)


def test_most_records_of_a_batch_are_copied_which_the_weights_as_agreed_do_not_give() -> None:
    records = pictures(BATCH, 1)
    plain = cases.gradient_update(MODEL, records)
    trapped = cases.gradient_update(MODEL, records, state=dict(altered().state))
    assert share_found(trapped, records) >= 0.8
    assert share_found(plain, records) <= 0.2


def test_under_noise_nothing_is_copied() -> None:
    records = pictures(BATCH, 1)
    update = cases.gradient_update(MODEL, records, state=dict(altered().state))
    generator = torch.Generator().manual_seed(0)
    noisy = {name: value + 0.1 * torch.randn(value.shape, generator=generator) for name, value in update.update.items()}
    assert share_found(replace(update, update=noisy), records) == 0


def test_neurons_that_never_fall_silent_are_named() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(144, 50), nn.Tanh(), nn.Linear(50, 10))

    with pytest.raises(AttackFailed, match="no ReLU"):
        altered(model(build))


def test_other_records_are_needed() -> None:
    with pytest.raises(AttackFailed, match="other records"):
        altered(MODEL, None)
