"""Epsilon from one training run by whole trade-off curves: the f-DP audit."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from auditor.auditing.game import COINS, LEVEL, PRESET, EpsilonBound, Floats, correctness

GUESSED_SHARE = 0.1
"""Share of canaries that are guessed unless said otherwise: the surest tenth, near the best for Gaussian noise."""
LARGEST = 40.0

Inverse = Callable[[float], float]
"""The least chance of a false alarm for a chance of a hit: the inverse of ``x -> 1 - f(x)``."""


def gaussian(mu: float) -> Inverse:
    """Of a mu-GDP mechanism (Dong, Roth and Su, 2022, arXiv:1905.02383)."""
    return lambda hit: float(special.ndtr(special.ndtri(hit) - mu)) if 0 < hit < 1 else float(hit >= 1)


def approximate(epsilon: float, delta: float) -> Inverse:
    """Of an (epsilon, delta)-DP mechanism."""
    shrink = math.exp(-epsilon)
    return lambda hit: max(0.0, shrink * (hit - delta), 1 - (1 - hit) / shrink - delta / shrink)


def is_refuted(inverse: Inverse, correct: int, *, guesses: int, canaries: int, error: float) -> bool:
    """Would at least ``correct`` right guesses be less likely than ``error`` under this trade-off curve?

    Mahloujifar, Melis and Chaudhuri, 2024, arXiv:2410.22235, algorithms 3 and 4; own proof in
    docs/proofs/epsilon-audits.md. With ``hit`` the chance that a random canary is guessed right and ``miss`` that it
    is guessed wrong while at least i guesses are right, the curve forces a least ``miss`` one level lower;
    walking down from ``correct``, the total chance exceeds that of being guessed at all only if no mechanism
    under the curve reaches ``error``.
    """
    hit, miss = error * correct / canaries, error * (guesses - correct) / canaries
    for i in range(correct - 1, -1, -1):
        least = max(miss, inverse(hit))
        if i < guesses:
            hit += i / (guesses - i) * (least - miss)
        miss = least
        if hit + miss > guesses / canaries:
            return True
    return False


def gaussian_bound(
    scores: Floats,
    included: NDArray[np.bool_],
    *,
    delta: float,
    guesses: int | None = None,
    level: float = LEVEL,
    seed: int = 0,
    centred: bool = False,
) -> EpsilonBound:
    """Lower bound on epsilon of a mechanism with Gaussian trade-off curves, such as noisy gradient steps.

    The proven statement is about mu: no mu-GDP mechanism below the bound. The epsilon shown is that of the
    Gaussian curve at ``delta``.
    """
    m = len(scores)
    r = max(1, round(GUESSED_SHARE * m)) if guesses is None else guesses
    if not 0 < r <= m:
        raise ValueError(f"{r} guesses on {m} canaries")
    right = int(correctness(scores, included, seed=seed, centred=centred)[:r].sum())
    mu, best = (smallest_mu(c, guesses=r, canaries=m, error=1 - level) for c in (right, r))
    return EpsilonBound(
        epsilon=epsilon_of_mu(mu, delta),
        delta=delta,
        level=level,
        method="one run, Gaussian trade-off curve (Mahloujifar et al., 2024, arXiv:2410.22235)",
        proven=True,
        canaries=m,
        guesses=r,
        correct=right,
        ceiling=epsilon_of_mu(best, delta),
        assumptions=(COINS, PRESET, "the mechanism's trade-off curve is Gaussian"),
    )


def approximate_bound(
    scores: Floats,
    included: NDArray[np.bool_],
    *,
    delta: float,
    guesses: int | None = None,
    level: float = LEVEL,
    seed: int = 0,
    centred: bool = False,
) -> EpsilonBound:
    """Lower bound on epsilon of any mechanism, by the trade-off curve of (epsilon, delta)-DP itself."""
    m = len(scores)
    r = max(1, round(GUESSED_SHARE * m)) if guesses is None else guesses
    if not 0 < r <= m:
        raise ValueError(f"{r} guesses on {m} canaries")
    right = int(correctness(scores, included, seed=seed, centred=centred)[:r].sum())

    def smallest(correct: int) -> float:
        return _last_refuted(
            lambda epsilon: is_refuted(approximate(epsilon, delta), correct, guesses=r, canaries=m, error=1 - level)
        )

    return EpsilonBound(
        epsilon=smallest(right),
        delta=delta,
        level=level,
        method="one run, trade-off curve of (epsilon, delta) (after Mahloujifar et al., 2024, arXiv:2410.22235)",
        proven=True,
        canaries=m,
        guesses=r,
        correct=right,
        ceiling=smallest(r),
        assumptions=(COINS, PRESET),
    )


def smallest_mu(correct: int, *, guesses: int, canaries: int, error: float) -> float:
    """The smallest mu whose curve is not refuted, from below; 0 if none is."""
    return _last_refuted(lambda mu: is_refuted(gaussian(mu), correct, guesses=guesses, canaries=canaries, error=error))


def _last_refuted(refuted: Callable[[float], bool]) -> float:
    low, high = 0.0, LARGEST
    if not refuted(low):
        return 0.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def epsilon_of_mu(mu: float, delta: float) -> float:
    """Epsilon at ``delta`` of a mu-GDP mechanism: Dong, Roth and Su, 2022, corollary 2.13."""
    if mu <= 0 or delta_of(0.0, mu) <= delta:
        return 0.0
    high = mu * mu / 2 + 10 * mu + 1
    while delta_of(high, mu) > delta:
        high *= 2
    return float(optimize.brentq(lambda epsilon: delta_of(epsilon, mu) - delta, 0.0, high, xtol=1e-9))


def mu_of_epsilon(epsilon: float, delta: float) -> float:
    """The mu whose Gaussian curve has this epsilon at ``delta``."""
    return float(optimize.brentq(lambda mu: delta_of(epsilon, mu) - delta, 1e-6, 100.0, xtol=1e-10))


def delta_of(epsilon: float, mu: float) -> float:
    """Delta at ``epsilon`` of a mu-GDP mechanism."""
    far = epsilon + float(stats.norm.logcdf(-epsilon / mu - mu / 2))
    return float(stats.norm.cdf(-epsilon / mu + mu / 2)) - math.exp(far)
