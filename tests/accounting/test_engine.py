"""The engine's bounds against closed forms and against brute force."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from auditor.accounting import pairs
from auditor.accounting.bracket import LossEngine
from auditor.accounting.closed_forms import gaussian_epsilon, gaussian_log_delta
from auditor.accounting.discretise import GridLoss, discretise
from auditor.accounting.saddle import Event
from auditor.accounting.tilted import Seen

_PAIRS = [
    pairs.gaussian(1.3),
    pairs.poisson(0.8, 0.01),
    pairs.poisson(0.4, 1e-4),
    pairs.poisson(5.0, 0.9),
    pairs.poisson_replaced(1.0, 0.05),
    pairs.poisson_group(1.0, 0.02, 5),
    pairs.fixed_size_replaced(1.5, 0.1),
]


def _log_likelihoods(pair: pairs.MixturePair, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def density(parts: tuple[tuple[float, float], ...]) -> np.ndarray:
        return sum(weight * stats.norm.pdf(x, mean, pair.sigma) for weight, mean in parts)

    return density(pair.p), density(pair.q)


def _hockey_stick(loss: GridLoss, epsilon: float) -> float:
    points = loss.offset + loss.step * (loss.start + np.arange(len(loss.mass)))
    above = points > epsilon
    return float(loss.infinity + (loss.mass[above] * -np.expm1(epsilon - points[above])).sum())


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("pair", [pair for pair in _PAIRS if isinstance(pair, pairs.MixturePair)], ids=str)
def test_one_step_is_bracketed_at_every_epsilon(pair: pairs.MixturePair, mirrored: bool) -> None:
    x = np.linspace(-14 * pair.sigma - 6, 14 * pair.sigma + 6, 400_001)
    p, q = _log_likelihoods(pair, x)
    if mirrored:
        p, q = q, p
    bounds = discretise(pair, 0.05, tail=1e-12, mirrored=mirrored)
    for epsilon in np.linspace(-1, 3, 41):
        truth = float(np.maximum(p - np.exp(epsilon) * q, 0).sum() * (x[1] - x[0]))
        assert _hockey_stick(bounds.upper, epsilon) >= truth - 1e-8
        assert _hockey_stick(bounds.lower, epsilon) <= truth + 1e-8


@pytest.mark.parametrize("pair", _PAIRS, ids=str)
@pytest.mark.parametrize("mirrored", [False, True])
def test_masses_stay_masses(pair: pairs.LossPair, mirrored: bool) -> None:
    bounds = discretise(pair, 0.03, tail=1e-15, mirrored=mirrored)
    for side in (bounds.upper, bounds.lower):
        assert side.mass.min() >= -1e-18
        assert side.mass.sum() + side.infinity == pytest.approx(1.0, abs=1e-9)
        points = side.offset + side.step * (side.start + np.arange(len(side.mass)))
        assert (side.mass * np.exp(-points)).sum() <= 1 + 1e-9 or side is bounds.lower


@pytest.mark.parametrize("delta", [1e-15, 1e-10, 1e-5, 1e-2])
@pytest.mark.parametrize(("sigma", "steps"), [(0.2, 1), (1.0, 10), (30.0, 100_000)])
def test_gaussian_composition_is_bracketed(sigma: float, steps: int, delta: float) -> None:
    truth = gaussian_epsilon(math.sqrt(steps) / sigma, delta)
    found = LossEngine([Event(pairs.gaussian(sigma), steps)]).epsilon(delta)
    assert found.lower <= truth * (1 + 1e-9) + 1e-12
    assert found.upper >= truth * (1 - 1e-9) - 1e-12
    assert found.width <= max(1e-3 * truth, 1e-4)


@given(
    sigma=st.floats(0.4, 20),
    rate=st.floats(1e-4, 0.5),
    steps=st.integers(1, 500),
    exponent=st.floats(-14, -2.5),
    factor=st.floats(1.05, 3),
)
@settings(max_examples=8, deadline=None)
def test_monotone_in_noise_rate_steps_and_delta(
    sigma: float, rate: float, steps: int, exponent: float, factor: float
) -> None:
    def bracket(sigma: float, rate: float, steps: int, delta: float):
        return LossEngine([Event(pairs.poisson(sigma, rate), steps)], precision=1e-3).epsilon(delta)

    delta = 10.0**exponent
    base = bracket(sigma, rate, steps, delta)
    assert 0 <= base.lower <= base.upper < math.inf
    assert base.upper >= bracket(sigma * factor, rate, steps, delta).lower
    assert base.lower <= bracket(sigma, min(1.0, rate * factor), steps, delta).upper
    assert base.lower <= bracket(sigma, rate, math.ceil(steps * factor), delta).upper
    assert base.upper >= bracket(sigma, rate, steps, min(0.05, delta * factor)).lower


@pytest.mark.parametrize(
    ("sigma", "inner", "rounds", "rate"), [(5.0, 1, 100, 0.25), (3.0, 19, 100, 0.25), (1.0, 1, 10, 0.01)]
)
def test_public_participation_is_the_binomial_mixture(sigma: float, inner: int, rounds: int, rate: float) -> None:
    counts = np.arange(1, rounds + 1)
    weights = stats.binom.pmf(counts, rounds, rate)

    def excess(epsilon: float) -> float:
        deltas = [math.exp(gaussian_log_delta(math.sqrt(inner * count) / sigma, epsilon)) for count in counts]
        return float(weights @ np.array(deltas)) - 1e-6

    truth = optimize.brentq(excess, 1e-6, 500)
    for mirrored in (False, True):
        engine = LossEngine([Event(pairs.gaussian(sigma), inner)], mirrored=mirrored, seen=Seen(rounds, rate))
        found = engine.epsilon(1e-6)
        assert found.lower <= truth <= found.upper
        assert found.width <= max(1e-3 * truth, 1e-4)


def test_finite_pair_composes_as_counted() -> None:
    high, low = 0.75, 0.25
    engine = LossEngine([Event(pairs.FinitePair((high, low), (low, high)), 20)])
    truth = _randomised_response(math.log(3), 20, 1e-5)
    found = engine.epsilon(1e-5)
    assert found.lower <= truth + 1e-9
    assert found.upper >= truth - 1e-9
    assert found.width <= 1e-2


def _randomised_response(epsilon: float, count: int, delta: float) -> float:
    yes = 1 / (1 + math.exp(-epsilon))

    def excess(total: float) -> float:
        heads = np.arange(count + 1)
        losses = (2 * heads - count) * epsilon
        mass = stats.binom.pmf(heads, count, yes)
        return float((mass * np.maximum(-np.expm1(total - losses), 0)).sum()) - delta

    return float(optimize.brentq(excess, 0, count * epsilon))


def test_numerical_inverse_agrees_with_the_closed_one() -> None:
    pair = pairs.poisson(0.9, 0.03)
    losses = np.linspace(-0.02, 4, 200)
    assert np.allclose(pair._invert_numerically(losses), pair.invert(losses), atol=1e-9)
