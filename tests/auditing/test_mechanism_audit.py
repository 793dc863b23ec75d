"""The mechanism played with canaries: right code is left alone, seeded bugs are found, and power is said."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from auditor.accounting.account import account
from auditor.accounting.caps import loss_profile
from auditor.accounting.from_settings import spec_from_settings
from auditor.auditing.declared import declared_curve, p_value
from auditor.auditing.game import correctness
from auditor.auditing.mechanism import Played, Setup, play, play_code, setup_of
from auditor.auditing.trade_off import gaussian, mu_of_epsilon
from auditor.config.settings import FederationSettings, PrivacySettings

DELTA = 1e-5
RECORDS = 300


def federation(**changes: Any) -> FederationSettings:
    plain = {"algorithm": "fedavg", "clients": 4, "rounds": 4, "local": {"epochs": 1, "batch_size": 8}}
    return FederationSettings.model_validate({**plain, **changes})


def privacy(**changes: Any) -> PrivacySettings:
    plain = {
        "mechanism": "dp_sgd",
        "protects": "record",
        "adjacency": "add_or_remove",
        "noise_multiplier": 1.0,
        "clipping_norm": 0.5,
        "sampling": "poisson",
        "delta": DELTA,
    }
    return PrivacySettings.model_validate({**plain, **changes})


CLIENTS: dict[str, Any] = {"protects": "client", "noise_multiplier": 3.0}
TENTH = {"scheme": "poisson", "rate": 0.1}
RIGHT = {
    "record, Poisson": (federation(), privacy()),
    "record, full": (
        federation(clients=1, algorithm="fedsgd", rounds=9),
        privacy(sampling="full", noise_multiplier=4.0),
    ),
    "record, shuffled, replaced": (federation(), privacy(sampling="shuffled", adjacency="replace_one")),
    "record, some rounds": (federation(participation={"scheme": "poisson", "rate": 0.5}), privacy()),
    "client, full": (federation(clients=40), privacy(mechanism="dp_fedavg", sampling="full", **CLIENTS)),
    "client, Poisson": (
        federation(clients=40, rounds=20, participation=TENTH),
        privacy(mechanism="dp_fedavg", **{**CLIENTS, "noise_multiplier": 1.0}),
    ),
    "client, fixed size": (
        federation(clients=40, rounds=20, participation={"scheme": "fixed_size", "count": 4}),
        privacy(mechanism="dp_fedavg", sampling="fixed_size", **{**CLIENTS, "noise_multiplier": 1.0}),
    ),
    "local": (federation(clients=40), privacy(mechanism="local", sampling="full", **CLIENTS)),
    "distributed": (
        federation(clients=40, aggregation={"secure": {"enabled": True, "threshold": 40}}),
        privacy(mechanism="distributed", sampling="full", **CLIENTS),
    ),
    "tree": (federation(clients=40), privacy(mechanism="dp_ftrl", sampling="full", **CLIENTS)),
    "adaptive": (
        federation(clients=40),
        privacy(
            mechanism="dp_fedavg",
            sampling="full",
            clipping={"norm": 0.5, "kind": "adaptive", "count_noise": 10.0},
            clipping_norm=None,
            **CLIENTS,
        ),
    ),
}


def setup(fed: FederationSettings, priv: PrivacySettings, *, canaries: int = 1000, own: bool = False) -> Setup:
    spec = spec_from_settings(fed, priv, records=RECORDS)
    opposite = spec.change.value == "replace_one"
    return setup_of(fed, priv, records=RECORDS, canaries=canaries, opposite=opposite, steps=spec.steps, own_code=own)


def chance(games: list[Played], fed: FederationSettings, priv: PrivacySettings) -> float:
    """Of so many right guesses under the declared settings."""
    sampled = setup(fed, priv).calibrated
    share = 0.02 if sampled else 0.2
    profile = loss_profile(spec_from_settings(fed, priv, records=RECORDS))
    assert profile is not None
    scores = torch.cat([game.scores for game in games]).numpy()
    coins = torch.cat([game.included for game in games]).numpy()
    guesses = round(share * len(scores))
    right = int(correctness(scores, coins, seed=0, centred=sampled)[:guesses].sum())
    return p_value(declared_curve(profile.tpr), right, guesses=guesses, canaries=len(scores))


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_mechanism_is_not_refuted_and_the_canaries_tell(name: str) -> None:
    """Scores of canaries that are in lie above those that are out, yet not by more than was declared."""
    fed, priv = RIGHT[name]
    games = [play(setup(fed, priv, canaries=400), seed=seed) for seed in range(3)]
    assert chance(games, fed, priv) > 0.05
    inside = np.concatenate([game.scores[game.included].numpy() for game in games])
    outside = np.concatenate([game.scores[~game.included].numpy() for game in games])
    error = math.hypot(inside.std() / len(inside) ** 0.5, outside.std() / len(outside) ** 0.5)
    assert (inside.mean() - outside.mean()) / error > 4


@pytest.mark.parametrize("name", ["record, full", "client, full", "local"])
def test_canaries_show_the_distance_that_is_accounted(name: str) -> None:
    """Where the account is a Gaussian, the game is as sharp: the fitted distance is that of the account."""
    fed, priv = RIGHT[name]
    games = [play(setup(fed, priv), seed=seed) for seed in range(4)]
    scores, coins = torch.cat([g.scores for g in games]), torch.cat([g.included for g in games])
    inside, outside = scores[coins], scores[~coins]
    mu = float((inside.mean() - outside.mean()) / ((inside.var() + outside.var()) / 2).sqrt())
    epsilon = account(spec_from_settings(fed, priv, records=RECORDS))
    assert mu == pytest.approx(mu_of_epsilon(epsilon.upper, DELTA), abs=0.15)


@pytest.mark.parametrize("name", ["record, Poisson", "record, full", "client, full", "client, Poisson"])
def test_half_the_noise_is_found_in_the_simulation(name: str) -> None:
    fed, priv = RIGHT[name]
    halved = priv.model_copy(update={"noise_multiplier": (priv.noise_multiplier or 0) / 2})
    games = [play(setup(fed, halved), seed=seed) for seed in range(10)]
    assert chance(games, fed, priv) < 0.05 / 3


# A user's own step

RATE, SIGMA, NORM, STEPS = 0.1, 1.0, 0.5, 30


class Step:
    """DP-SGD as one would write it, with bugs on request."""

    def __init__(self, *, noise: float = SIGMA, clip: bool = True, sample: bool = True, mean: bool = False) -> None:
        self.noise, self.clip, self.sample, self.mean = noise, clip, sample, mean
        self.generator = torch.Generator().manual_seed(1)

    def __call__(self, contributions: Tensor, step: int) -> Tensor:
        rows = contributions
        if self.sample:
            rows = rows[torch.rand(len(rows), generator=self.generator) < RATE]
        if self.clip:
            rows = rows * (NORM / rows.norm(dim=1, keepdim=True)).clamp(max=1.0)
        noise = torch.randn(contributions.shape[1], generator=self.generator)
        released = rows.sum(dim=0) + self.noise * NORM * noise
        return released / 100 if self.mean else released


OWN = (
    federation(clients=1, rounds=STEPS, algorithm="fedsgd", local={"batch_size": 30}),
    privacy(noise_multiplier=SIGMA, clipping_norm=NORM),
)


def own_games(step: Step, *, games: int = 10, canaries: int = 1000) -> list[Played]:
    fed, priv = OWN
    sized = setup(fed, priv, canaries=canaries, own=True)
    assert sized.steps == STEPS
    return [play_code(sized, step, seed=seed) for seed in range(games)]


def test_the_declared_settings_are_those_of_the_step() -> None:
    spec = spec_from_settings(*OWN, records=RECORDS)
    assert (spec.phases[0].rate, spec.steps) == (RATE, STEPS)


@pytest.mark.parametrize("mean", [False, True])
def test_a_right_step_is_not_refuted(mean: bool) -> None:
    assert chance(own_games(Step(mean=mean)), *OWN) > 0.05


@pytest.mark.parametrize(
    "bug",
    [{"noise": SIGMA / 2}, {"noise": 0.0}, {"clip": False}, {"sample": False}],
    ids=["half the noise", "no noise", "no clipping", "no sampling"],
)
def test_bugs_of_a_step_are_found(bug: dict[str, Any]) -> None:
    assert chance(own_games(Step(**bug)), *OWN) < 0.05 / 3


def test_few_canaries_miss_half_the_noise() -> None:
    """What a small audit cannot find: that is why its power is printed."""
    assert chance(own_games(Step(noise=SIGMA / 2), games=1, canaries=100), *OWN) > 0.05 / 3


def test_a_step_that_returns_something_else_is_refused() -> None:
    fed, priv = OWN
    with pytest.raises(ValueError, match="released shape"):
        play_code(setup(fed, priv, canaries=100), lambda rows, step: rows, seed=0)


# The declared curve


@pytest.mark.parametrize("mu", [0.3, 1.0, 3.0])
def test_a_gaussian_curve_is_met_from_above(mu: float) -> None:
    exact = gaussian(mu)
    found = declared_curve(lambda fpr: 1 - exact(1 - fpr))
    for hit in (1e-4, 0.01, 0.2, 0.5, 0.8, 0.99):
        assert exact(hit) * 0.95 - 1e-6 <= found(hit) <= exact(hit) * (1 + 1e-9)


def test_the_other_order_counts() -> None:
    """A curve that is steep in one order alone: the inverse allows for both."""
    one_sided = declared_curve(lambda fpr: min(1.0, fpr + 0.1 * (fpr > 0.5)))
    assert one_sided(0.2) < 0.2 - 0.05


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 2.0])
def test_false_alarms_of_the_declared_curve(epsilon: float) -> None:
    """Over 1,000 draws at the null and at true epsilon 1 and 2, at the third of 5 % that a run uses."""
    mu = mu_of_epsilon(epsilon, DELTA) if epsilon else 0.0
    curve = declared_curve(lambda fpr: 1 - gaussian(mu)(1 - fpr))
    random = np.random.default_rng(int(epsilon))
    right = []
    for _ in range(1000):
        coins = random.random(1000) < 0.5
        right.append(int(correctness(coins * mu + random.normal(size=1000), coins, seed=0)[:100].sum()))
    refuted = {value for value in right if p_value(curve, value, guesses=100, canaries=1000) < 0.05 / 3}
    assert sum(value in refuted for value in right) <= 17
    assert p_value(curve, 100, guesses=100, canaries=1000) < 0.05 / 3  # it can refute at all


def test_a_game_follows_from_its_seed() -> None:
    fed, priv = RIGHT["record, Poisson"]
    one, same, other = (play(setup(fed, priv, canaries=200), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.scores, same.scores)
    assert not torch.equal(one.included, other.included)


def test_rates_survive_the_scaling() -> None:
    sized = setup(*RIGHT["record, Poisson"])
    assert sized.federation.local.batch_size / sized.units == pytest.approx(8 / 75)
    clients = setup(*RIGHT["client, fixed size"])
    assert (clients.federation.participation.count or 0) / clients.units == pytest.approx(4 / 40)
