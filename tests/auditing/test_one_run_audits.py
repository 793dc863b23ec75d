"""Audits of one run: errors of the first kind, power against the research, and the worst cases in closed form."""

import math
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from auditor.auditing.estimates import gaussian_interval
from auditor.auditing.game import Floats, correctness
from auditor.auditing.one_run import one_run_bound, p_value, smallest_epsilon
from auditor.auditing.trade_off import (
    approximate,
    approximate_bound,
    delta_of,
    epsilon_of_mu,
    gaussian,
    gaussian_bound,
    is_refuted,
    mu_of_epsilon,
)
from auditor.auditing.walk import STEP, checkpoints, critical, exceeds, walk_bound

DELTA = 1e-5
Game = tuple[Floats, NDArray[np.bool_]]


def laplace(m: int, epsilon: float, random: np.random.Generator) -> Game:
    """Scores that saturate epsilon-DP; epsilon 0 is no leakage at all."""
    coins = random.random(m) < 0.5
    if epsilon == 0:
        return random.normal(size=m), coins
    return 2.0 * coins - 1 + random.laplace(scale=2 / epsilon, size=m), coins


@cache
def _mu(epsilon: float) -> float:
    return mu_of_epsilon(epsilon, DELTA)


def normal(m: int, epsilon: float, random: np.random.Generator) -> Game:
    coins = random.random(m) < 0.5
    return coins + random.normal(scale=1 / _mu(epsilon), size=m), coins


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 2.0])
def test_false_alarms_of_fixed_guesses(epsilon: float) -> None:
    """At most 5 % over 1,000 draws (and the chance of 1,000 draws: 7.1 % would have probability 0.2 %)."""
    random = np.random.default_rng(int(epsilon) + 1)
    alarms = sum(one_run_bound(*laplace(1000, epsilon, random), delta=0).epsilon > epsilon for _ in range(1000))
    assert alarms <= 71


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 2.0])
def test_false_alarms_of_the_walk(epsilon: float) -> None:
    random = np.random.default_rng(int(epsilon) + 11)
    alarms = sum(walk_bound(*laplace(300, epsilon, random), delta=0).epsilon > epsilon for _ in range(120))
    assert alarms <= 14


@pytest.mark.parametrize("m", [100, 300, 1000])
def test_the_walks_error_is_computed_and_at_most_five_percent(m: int) -> None:
    """At every fifth epsilon up to 3; and not far below, which would be power given away."""
    for index in range(0, 151, 5):
        chance = exceeds(m, index, critical(m, index, 0.05))
        assert 0.035 <= chance <= 0.05


def test_the_walks_law_is_that_of_independent_guesses() -> None:
    random, q = np.random.default_rng(0), 1 / (1 + math.exp(-1.0))
    counts = np.cumsum(random.random((20_000, 300)) < q, axis=1)
    evidence = np.max([-stats.binom.logsf(counts[:, k - 1] - 1, k, q) for k in checkpoints(300)], axis=0)
    for bar in (2.0, 4.0, 6.0):
        assert exceeds(300, round(1 / STEP), bar) == pytest.approx((evidence > bar).mean(), abs=0.012)


@pytest.mark.papers
@pytest.mark.parametrize("epsilon", [0.0, 1.0, 2.0])
def test_false_alarms_of_the_walk_over_ten_thousand_draws(epsilon: float) -> None:
    """At most 5 % (and the chance of 10,000 draws: 5.63 % would have probability 0.2 %)."""
    random = np.random.default_rng(int(epsilon) + 21)
    alarms = sum(walk_bound(*laplace(1000, epsilon, random), delta=0).epsilon > epsilon for _ in range(10_000))
    assert alarms <= 563


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_false_alarms_of_trade_off_curves(epsilon: float, share: float) -> None:
    random = np.random.default_rng(int(epsilon) + 31)
    pure = curved = 0
    mu = mu_of_epsilon(epsilon, DELTA) if epsilon else 0.0
    guesses = int(500 * share)
    for _ in range(1000):
        right = correctness(*laplace(500, epsilon, random), seed=0)[:guesses].sum()
        pure += is_refuted(approximate(epsilon, 0.0), int(right), guesses=guesses, canaries=500, error=0.05)
        coins = random.random(500) < 0.5
        right = correctness(coins * mu + random.normal(size=500), coins, seed=0)[:guesses].sum()
        curved += is_refuted(gaussian(mu), int(right), guesses=guesses, canaries=500, error=0.05)
    assert pure <= 71
    assert curved <= 71


@pytest.mark.parametrize(("epsilon", "fixed", "walk"), [(1.0, 0.84, 0.76), (2.0, 1.78, 1.67)])
def test_power_on_laplace_noise_reaches_the_research(epsilon: float, fixed: float, walk: float) -> None:
    """Medians at m = 1,000; one right guess more or less moves the fixed bound by 0.016."""
    random = np.random.default_rng(0)
    games = [laplace(1000, epsilon, random) for _ in range(200)]
    assert np.median([one_run_bound(*game, delta=0).epsilon for game in games]) >= fixed
    assert np.median([walk_bound(*game, delta=0).epsilon for game in games[:40]]) >= walk


@pytest.mark.parametrize(
    ("m", "draws", "expected"),
    [(1000, 60, {1: 0.10, 2: 0.52, 4: 1.69, 8: 2.81}), (10_000, 9, {1: 0.37, 2: 0.95, 4: 2.04, 8: 4.01})],
)
def test_power_on_gaussian_noise_reaches_the_research(m: int, draws: int, expected: dict[int, float]) -> None:
    random = np.random.default_rng(0)
    for epsilon, least in expected.items():
        found = [gaussian_bound(*normal(m, epsilon, random), delta=DELTA) for _ in range(draws)]
        assert least <= np.median([bound.epsilon for bound in found]) <= epsilon


def test_power_of_the_bound_without_assumptions() -> None:
    random = np.random.default_rng(0)
    for epsilon, least in {2: 0.52, 4: 1.3, 8: 2.6}.items():
        found = [approximate_bound(*normal(1000, epsilon, random), delta=DELTA).epsilon for _ in range(40)]
        assert least <= np.median(found) <= epsilon


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(("m", "right"), [(20, 18), (100, 75), (100, 82), (1000, 560)])
def test_curve_of_randomised_response_is_never_below_its_binomial(epsilon: float, m: int, right: int) -> None:
    """Randomised response attains Bin(m, q): a curve refuted above this tail would be a false alarm."""
    tail = float(stats.binom.sf(right - 1, m, 1 / (1 + math.exp(-epsilon))))
    assert not is_refuted(approximate(epsilon, 0.0), right, guesses=m, canaries=m, error=tail * (1 - 1e-9))


@pytest.mark.parametrize("mu", [0.2, 1.0])
def test_gaussian_curve_is_never_below_independent_canaries(mu: float) -> None:
    for right in (60, 75, 90):
        tail = float(stats.binom.sf(right - 1, 100, stats.norm.cdf(mu / 2)))
        assert not is_refuted(gaussian(mu), right, guesses=100, canaries=100, error=tail * (1 - 1e-9))


def test_fixed_guesses_equal_the_binomial_test() -> None:
    found = p_value(70, guesses=100, canaries=100, epsilon=math.log(1.5), delta=0.0)
    assert found == pytest.approx(stats.binomtest(70, 100, 0.6, alternative="greater").pvalue)


def test_delta_only_weakens() -> None:
    values = [p_value(80, guesses=100, canaries=1000, epsilon=1.0, delta=delta) for delta in (0.0, 1e-6, 1e-4, 1e-2)]
    assert values == sorted(values)
    assert values[0] < values[-1]


@pytest.mark.parametrize(("n", "ceiling"), [(100, 3.49), (500, 5.11), (1000, 5.81), (5000, 7.42), (25_000, 9.03)])
def test_ceiling_of_a_perfect_attack(n: int, ceiling: float) -> None:
    assert smallest_epsilon(n, guesses=n, canaries=n, delta=0.0, error=0.05) == pytest.approx(ceiling, abs=0.005)


def test_a_perfect_attack_meets_its_ceiling() -> None:
    coins = np.random.default_rng(0).random(400) < 0.5
    for bound in (
        one_run_bound(coins * 1.0, coins, delta=0.0, guesses=200),
        gaussian_bound(coins * 1.0, coins, delta=DELTA),
        approximate_bound(coins * 1.0, coins, delta=DELTA),
    ):
        assert bound.correct == bound.guesses
        assert bound.epsilon == pytest.approx(bound.ceiling)
        assert f"at most {bound.ceiling:.2f}" in bound.sentence


def test_only_proven_bounds_contradict_the_accountant() -> None:
    coins = np.random.default_rng(0).random(1000) < 0.5
    scores = coins + np.random.default_rng(1).normal(scale=0.1, size=1000)
    proven, heuristic = walk_bound(scores, coins, delta=DELTA), gaussian_interval(scores, coins, delta=DELTA)
    assert proven.contradicts(1.0)
    assert heuristic.epsilon > 1.0
    assert not heuristic.contradicts(1.0)
    assert "heuristic" in heuristic.sentence


def test_a_delta_too_large_for_the_walk_shows_nothing() -> None:
    coins = np.random.default_rng(0).random(1000) < 0.5
    assert walk_bound(coins * 1.0, coins, delta=1e-3).epsilon == 0.0


def test_ties_do_not_look_at_the_coins() -> None:
    coins = np.arange(1000) < 500
    assert one_run_bound(np.zeros(1000), coins, delta=0.0).correct == pytest.approx(300, abs=40)


def test_surest_guesses_come_first_on_both_sides() -> None:
    coins = np.array([True, True, False, False])
    assert correctness(np.array([3.0, 1.0, 2.0, 0.0]), coins, seed=0).tolist() == [True, True, False, False]


@pytest.mark.parametrize("scores", [np.array([1.0, math.nan]), np.zeros(3)])
def test_unusable_scores_are_refused(scores: Floats) -> None:
    with pytest.raises(ValueError, match="score"):
        correctness(scores, np.array([True, False]), seed=0)


@pytest.mark.parametrize("guesses", [0, 11])
def test_an_impossible_number_of_guesses_is_refused(guesses: int) -> None:
    coins = np.arange(10) < 5
    for bound in (one_run_bound, gaussian_bound, approximate_bound):
        with pytest.raises(ValueError, match="guesses on 10 canaries"):
            bound(coins * 1.0, coins, delta=0.0, guesses=guesses)


def test_gaussian_conversion_is_its_own_inverse() -> None:
    for epsilon in (0.1, 1.0, 4.0, 8.0):
        assert epsilon_of_mu(mu_of_epsilon(epsilon, DELTA), DELTA) == pytest.approx(epsilon)
    assert delta_of(0.0, 1.0) == pytest.approx(2 * stats.norm.cdf(0.5) - 1)
    assert epsilon_of_mu(0.0, DELTA) == 0.0
