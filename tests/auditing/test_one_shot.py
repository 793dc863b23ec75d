"""Canary clients in a training: the estimate grows with what is released, and says nothing where they are not in."""

from typing import Any

import numpy as np
import pytest
import torch

from auditor.auditing.estimates import one_shot_estimate
from auditor.auditing.one_shot import play_clients
from auditor.auditing.trade_off import epsilon_of_mu
from auditor.config.settings import FederationSettings, PrivacySettings
from tests.membership_cases import digits, shared_model

DELTA, ROUNDS = 1e-5, 8
MEMBERS = digits().candidates[:200]


def played(*, noise: float, seed: int = 0, mechanism: str = "dp_fedavg", **federation: Any) -> np.ndarray:
    settings = FederationSettings.model_validate(
        {
            "algorithm": "fedavg",
            "clients": 20,
            "rounds": ROUNDS,
            "local": {"batch_size": 10, "learning_rate": 0.05},
            **federation,
        }
    )
    private = {
        "mechanism": mechanism,
        "protects": "client",
        "adjacency": "add_or_remove",
        "noise_multiplier": noise,
        "clipping_norm": 0.2,
        "sampling": settings.participation.scheme,
        "delta": DELTA,
    }
    scores = play_clients(
        settings,
        PrivacySettings.model_validate(private),
        shared_model(),
        MEMBERS,
        groups=None,
        canaries=60,
        seed=seed,
    )
    return scores.numpy()


def estimate(scores: np.ndarray) -> float:
    return one_shot_estimate(scores, parameters=1, delta=DELTA).epsilon


@pytest.mark.parametrize("noise", [2.0, 6.0])
def test_the_estimate_is_near_the_account_of_the_final_model(noise: float) -> None:
    """Where all take part the final model is one Gaussian release: distance ``sqrt(rounds) / noise``."""
    scores = np.concatenate([played(noise=noise, seed=seed) for seed in range(3)])
    true = ROUNDS**0.5 / noise
    assert scores.mean() == pytest.approx(true, abs=0.35)
    assert estimate(scores) <= epsilon_of_mu(true, DELTA) * 1.5


def test_less_noise_shows() -> None:
    low, high = (estimate(played(noise=noise)) for noise in (8.0, 1.0))
    assert high > low + 1.0


def test_canaries_that_hardly_take_part_show_less() -> None:
    rare = {"participation": {"scheme": "poisson", "rate": 0.1}}
    assert estimate(played(noise=1.0, **rare)) < estimate(played(noise=1.0))


def test_a_fixed_cohort_and_secure_sums_are_played() -> None:
    fixed = {"participation": {"scheme": "fixed_size", "count": 10}}
    assert np.isfinite(played(noise=1.0, **fixed)).all()
    secure = {"aggregation": {"secure": {"enabled": True, "threshold": 20}}}
    assert played(noise=1.0, mechanism="distributed", **secure).mean() > 1.0


def test_without_noise_a_canary_stands_out_among_as_many_clients() -> None:
    assert played(noise=0.0).mean() > 5.0


def test_directions_that_were_not_in_are_standard_normal() -> None:
    """The null that the estimate compares with."""
    generator = torch.Generator().manual_seed(0)
    moved = torch.randn(9610, generator=generator, dtype=torch.float64)
    rows = torch.randn(500, 9610, generator=generator, dtype=torch.float64)
    cosines = torch.cosine_similarity(rows, moved.unsqueeze(0)) * 9610**0.5
    assert float(cosines.std()) == pytest.approx(1.0, abs=0.1)
    assert estimate(cosines.numpy()) < 0.5
