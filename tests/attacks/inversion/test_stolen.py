"""Stolen checkpoints: the moment as a gradient, two states as a difference, nothing to compare with."""

from dataclasses import replace

import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.stolen import StolenCheckpointInversion, as_client_update
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from auditor.simulation.observe import observe_updates
from tests.attacks.inversion import cases

TRAITS = cases.TRAITS | {"first_layer_linear"}
MODEL = cases.shared_model(
    cases.mlp(48, 32, 16, classes=10), input_shape=(48,), modality=Modality.TIMESERIES, traits=TRAITS
)
BOTH = frozenset({Grant.CHECKPOINT, Grant.MODEL_WEIGHTS})


WIDE = cases.shared_model(
    cases.mlp(48, 200, 16, classes=10), input_shape=(48,), modality=Modality.TIMESERIES, traits=TRAITS
)


def stolen(*, per_client: int = 1, grants=BOTH, model=MODEL, **local):
    generator = torch.Generator().manual_seed(0)
    n = 2 * per_client
    records = Records(torch.randn(n, 48, generator=generator), torch.randint(10, (n,), generator=generator))
    settings = FederationSettings.model_validate(
        {"algorithm": "fedavg", "clients": 2, "local": {"batch_size": 8, "learning_rate": 0.1, **local}}
    )
    state = FunctionalModel(model).initial_state(0)
    return observe_updates(
        settings, PrivacySettings(mechanism="none"), model, records, state=state, view="checkpoint",
        count=2, seed=1, grants=grants,
    )  # fmt: skip


def attacked(item, model=MODEL):
    attack = StolenCheckpointInversion(StolenCheckpointInversion.Params())
    return attack.run(item.observation, cases.known(model), RunContext(seed=3))


def error(found, item) -> float:
    return float((found.inputs - item.truth.inputs).norm() / item.truth.inputs.norm())


@pytest.mark.parametrize("local", [{"momentum": 0.9}, {"optimizer": "adam"}, {}])
@pytest.mark.parametrize("grants", [BOTH, frozenset({Grant.CHECKPOINT})])
def test_one_record_comes_out_exactly(local: dict, grants) -> None:
    item, _ = stolen(grants=grants, **local)
    if not local and grants != BOTH:
        with pytest.raises(AttackFailed, match="nothing can be read"):
            attacked(item)
        return
    assert error(attacked(item), item) < 1e-3


def test_the_step_is_taken_back_to_the_weights_before_it() -> None:
    item, _ = stolen(grants=frozenset({Grant.CHECKPOINT}), momentum=0.9)
    (known, _) = stolen(momentum=0.9)
    read = as_client_update(item.observation)
    for name, value in read.update.before.items():
        assert torch.allclose(value, known.observation.before[name], atol=1e-6)


def test_several_records_of_one_step_are_split_exactly() -> None:
    item, _ = stolen(per_client=3, momentum=0.9, model=WIDE)
    found = attacked(item, WIDE)
    assert float((torch.cdist(item.truth.inputs, found.inputs).min(1).values / 48**0.5).max()) < 1e-2


def test_several_steps_are_unrolled_from_the_difference() -> None:
    item, _ = stolen(per_client=2, batch_size=1, learning_rate=0.01)
    read = as_client_update(item.observation)
    assert read.update.kind == "difference"
    assert read.update.local.steps == 2
    assert set(read.update.update) == set(FunctionalModel(MODEL).parameter_names)


def test_a_moment_of_pure_noise_gives_nothing_of_the_record() -> None:
    item, _ = stolen(momentum=0.9)
    generator = torch.Generator().manual_seed(2)
    noise = {name: torch.randn(v.shape, generator=generator) for name, v in item.observation.momentum.items()}
    assert error(attacked(replace(item, observation=replace(item.observation, momentum=noise))), item) > 0.9
