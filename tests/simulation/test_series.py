"""Sums of rounds, stolen checkpoints and parts of updates as an adversary sees them."""

import pytest
import torch

from auditor.config.scenario import PartSettings
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.grants import Grant
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from auditor.simulation.errors import SimulationError
from auditor.simulation.observe import observe_updates
from tests.attacks.inversion import cases

MODEL = cases.shared_model(cases.mlp(12, 8, classes=3), input_shape=(1, 3, 4), classes=3)
PLAIN = PrivacySettings(mechanism="none")
GRANTS = frozenset({Grant.MODEL_WEIGHTS, Grant.CHECKPOINT})


def records(n: int) -> Records:
    generator = torch.Generator().manual_seed(0)
    return Records(torch.randn(n, 1, 3, 4, generator=generator), torch.randint(3, (n,), generator=generator))


def observed(view: str, *, count: int = 2, grants=GRANTS, part=None, privacy=PLAIN, **federation):
    settings = FederationSettings.model_validate({"algorithm": "fedavg", "clients": 4, "rounds": 12, **federation})
    state = FunctionalModel(MODEL).initial_state(0)
    return observe_updates(
        settings, privacy, MODEL, records(24), state=state, view=view, count=count, seed=5, grants=grants, part=part
    )


def test_a_log_of_sums_follows_the_model_and_hides_single_updates() -> None:
    (item,) = observed("sums", participation={"scheme": "fixed_size", "count": 2})
    seen = item.observation
    assert len(seen.rounds) == 12
    assert all(not view.updates and len(view.cohort) == 2 for view in seen.rounds)
    first, second = seen.rounds[0], seen.rounds[1]
    for name, moved in first.aggregate.items():
        assert torch.allclose(first.before[name] + moved, second.before[name], atol=1e-6)
    assert len(item.truth) == sum(seen.records[client] for client in seen.asked)


def test_the_sum_is_the_weighted_mean_of_the_cohorts_updates() -> None:
    (item,) = observed("sums", participation={"scheme": "fixed_size", "count": 2}, rounds=1)
    assert set(item.observation.shares) == set(item.observation.rounds[0].cohort)
    assert set(item.observation.shares.values()) == {6.0}


@pytest.mark.parametrize("optimizer", [{"momentum": 0.9}, {"optimizer": "adam"}])
def test_the_stored_moment_of_one_step_is_the_gradient(optimizer: dict) -> None:
    items = observed("checkpoint", local={"batch_size": 16, "learning_rate": 0.1, **optimizer})
    for item in items:
        seen = item.observation
        assert seen.local.steps == 1
        wanted = FunctionalModel(MODEL).gradient(seen.before, item.truth, training=True)
        factor = 0.1 if "optimizer" in optimizer else 1.0
        for name, moment in seen.momentum.items():
            assert torch.allclose(moment, factor * wanted[name], atol=1e-6)


def test_without_a_memory_or_the_public_model_neither_is_stored() -> None:
    (item, _) = observed("checkpoint", grants=frozenset({Grant.CHECKPOINT}))
    assert item.observation.momentum is None
    assert item.observation.before is None


def test_fedsgd_clients_store_no_training() -> None:
    with pytest.raises(SimulationError, match="no checkpoint"):
        observed("checkpoint", algorithm="fedsgd")


def test_one_layer_of_an_update() -> None:
    first = observed("part", part=PartSettings(layer="first"))[0].observation
    last = observed("part", part=PartSettings(layer="last"))[0].observation
    whole = observed("client")[0].observation
    names = tuple(whole.update)
    assert tuple(first.update) == names[:2]
    assert tuple(last.update) == names[-2:]
    assert torch.equal(first.update[names[0]], whole.update[names[0]])
    with pytest.raises(SimulationError, match="Layers are"):
        observed("part", part=PartSettings(layer="conv9"))


def test_a_share_of_the_coordinates() -> None:
    seen = observed("part", part=PartSettings(coordinates=0.5))[0].observation
    whole = observed("client")[0].observation
    for name, mask in seen.shown.items():
        assert torch.equal(seen.update[name], whole.update[name] * mask)
    share = sum(float(mask.sum()) for mask in seen.shown.values()) / sum(m.numel() for m in seen.shown.values())
    assert 0.3 < share < 0.7


def test_the_largest_coordinates_say_that_the_others_are_smaller() -> None:
    seen = observed("part", part=PartSettings(coordinates=0.1, which="largest"))[0].observation
    assert seen.shown is None
    assert seen.privatisation.kept_fraction == 0.1
    nonzero = sum(int((value != 0).sum()) for value in seen.update.values())
    assert nonzero <= -(-sum(value.numel() for value in seen.update.values()) // 10)
