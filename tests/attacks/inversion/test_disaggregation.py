"""Disaggregation of sums over rounds: closed form, counts alone, drift, what cannot be told apart, no signal."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.disaggregate import (
    disaggregated,
    participation_from_counts,
    participation_known,
    separable,
)
from auditor.attacks.inversion.disaggregation import GradientDisaggregation
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.errors import AttackFailed
from auditor.core.shape import Modality
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from auditor.observations.released import RoundView, SummedRounds
from auditor.simulation.observe import observe_updates
from tests.attacks.inversion import cases

TRAITS = cases.TRAITS | {"first_layer_linear", "changing_cohorts"}
MODEL = cases.shared_model(
    cases.mlp(48, 32, 16, classes=10), input_shape=(48,), modality=Modality.TIMESERIES, traits=TRAITS
)
CLIENTS = 6


def made(
    *, rounds: int = 24, drift: float = 0.0, noise: float = 0.0, seed: int = 0
) -> tuple[SummedRounds, torch.Tensor]:
    """Sums of constant updates, which may all drift alike; who takes part is drawn by a coin."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    own, way = torch.randn(CLIENTS, 30, generator=generator), torch.randn(30, generator=generator)
    views = []
    for t in range(rounds):
        cohort = [c for c in range(CLIENTS) if rng.random() < 0.5] or [0]
        mean = own[cohort].mean(0) + drift * t / (rounds - 1) * way + noise * torch.randn(30, generator=generator)
        views.append(RoundView(t, {}, {}, tuple(cohort), {"w": mean}))
    shares = dict.fromkeys(range(CLIENTS), 1.0)
    records = dict.fromkeys(range(CLIENTS), 1)
    return SummedRounds(tuple(views), (0, 3), shares, records, "gradient", cases.recipe()), own


def test_constant_updates_come_out_exactly() -> None:
    seen, own = made()
    for client, fit in zip(seen.asked, disaggregated(seen, *participation_known(seen), drift=0), strict=True):
        assert torch.allclose(fit.update["w"], own[client], atol=1e-4)
        assert fit.noise_std < 1e-5
        assert fit.unexplained < 1e-9


def test_a_common_drift_is_taken_off() -> None:
    seen, own = made(drift=2.0)
    errors = []
    for drift in (0, 1):
        fits = disaggregated(seen, *participation_known(seen), drift=drift)
        errors.append(max(float((f.update["w"] - own[c]).norm()) for c, f in zip(seen.asked, fits, strict=True)))
    assert errors[1] < 1e-3 < errors[0]


def test_the_error_that_is_stated_is_the_error_that_is_made() -> None:
    apart, stated = [], []
    for seed in range(8):
        seen, own = made(noise=0.1, seed=seed)
        for client, fit in zip(seen.asked, disaggregated(seen, *participation_known(seen), drift=0), strict=True):
            apart.append(float((fit.update["w"] - own[client]).square().mean()))
            stated.append(fit.noise_std**2)
    assert 0.5 < np.mean(stated) / np.mean(apart) < 2.0


def test_counts_alone_give_the_participation() -> None:
    seen, _ = made(rounds=20)
    found, clients = participation_from_counts(seen, window=5)
    known, _ = participation_known(seen)
    assert clients == list(range(CLIENTS))
    assert np.array_equal(found, known)


def test_clients_that_always_come_together_are_said_not_to_be_told_apart() -> None:
    seen, _ = made()
    views = tuple(
        replace(view, cohort=tuple(sorted({*view.cohort, 3} if 0 in view.cohort else {*view.cohort} - {3})) or (1,))
        for view in seen.rounds
    )
    assert not separable(participation_known(replace(seen, rounds=views))[0], 0)
    with pytest.raises(AttackFailed, match="cannot be told"):
        disaggregated(replace(seen, rounds=views), *participation_known(replace(seen, rounds=views)), drift=0)


def played(records: Records, *, privacy=None, rate: float = 0.001, **changes):
    settings = FederationSettings.model_validate(
        {
            "algorithm": "fedsgd", "clients": CLIENTS, "rounds": 40, "local": {"batch_size": 64, "learning_rate": rate},
            "participation": {"scheme": "fixed_size", "count": 3}, "aggregation": {"secure": {"enabled": True}},
            **changes,
        }
    )  # fmt: skip
    state = FunctionalModel(MODEL).initial_state(0)
    (item,) = observe_updates(
        settings, privacy or PrivacySettings(mechanism="none"), MODEL, records, state=state, view="sums", count=1,
        seed=1, grants=frozenset(),
    )  # fmt: skip
    return item


def series(n: int, seed: int = 0) -> Records:
    generator = torch.Generator().manual_seed(seed)
    return Records(torch.randn(n, 48, generator=generator), torch.randint(10, (n,), generator=generator))


def attacked(item, **params):
    attack = GradientDisaggregation(GradientDisaggregation.Params(**params))
    return attack.run(item.observation, cases.known(MODEL, series(50, 9)), RunContext(seed=3))


def worst(found, truth: Records) -> float:
    return float((torch.cdist(truth.inputs, found.inputs).min(1).values / truth.inputs.norm(dim=1)).max())


def test_records_of_single_clients_are_read_off_sums() -> None:
    item = played(series(CLIENTS))
    assert len(item.truth) == 4
    found = attacked(item)
    assert worst(found, item.truth) < 0.05


def test_a_learning_model_is_still_separated() -> None:
    item = played(series(CLIENTS), rate=0.05)
    assert worst(attacked(item), item.truth) < 0.5


def test_full_participation_hides_single_clients() -> None:
    with pytest.raises(AttackFailed, match="cannot be told"):
        attacked(played(series(CLIENTS), participation={"scheme": "full"}))


def test_sums_of_pure_noise_are_not_handed_on() -> None:
    item = played(series(CLIENTS))
    generator = torch.Generator().manual_seed(0)
    views = tuple(
        replace(v, aggregate={k: torch.randn(x.shape, generator=generator) for k, x in v.aggregate.items()})
        for v in item.observation.rounds
    )
    noise = replace(item, observation=replace(item.observation, rounds=views))
    with pytest.raises(AttackFailed, match="unexplained"):
        attacked(noise)
