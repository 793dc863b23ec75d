"""Epsilon from one training run: the bound of Steinke, Nasr and Jagielski."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from auditor.auditing.game import COINS, LEVEL, PRESET, EpsilonBound, Floats, correctness

GUESSED_SHARE = 0.6
"""Share of canaries that are guessed unless said otherwise: near the best over Laplace and Gaussian noise."""
LARGEST = 50.0


def p_value(correct: int, *, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Largest probability of so many right guesses under any (epsilon, delta)-DP training.

    Steinke, Nasr and Jagielski, 2023, arXiv:2305.08846, theorem 5.2: the binomial tail at
    ``e^eps / (1 + e^eps)``, plus ``2 * canaries * delta`` times the steepest mean slope of that tail.
    """
    q = 1 / (1 + math.exp(-epsilon))
    tail = float(stats.binom.sf(correct - 1, guesses, q))
    if delta == 0 or correct == 0:
        return min(1.0, tail)
    below = np.cumsum(stats.binom.pmf(np.arange(correct - 1, -1, -1), guesses, q))
    slope = float((below / np.arange(1, correct + 1)).max())
    return min(1.0, tail + 2 * canaries * delta * slope)


def one_run_bound(
    scores: Floats,
    included: NDArray[np.bool_],
    *,
    delta: float,
    guesses: int | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> EpsilonBound:
    """Lower bound on epsilon from the surest guesses, highest scores "in" and lowest "out".

    Args:
        scores: Of the canaries; higher means more likely in.
        included: The coins.
        delta: Of the statement.
        guesses: How many canaries are guessed; fixed before the scores are seen. Default: 60 % of them.
        level: Confidence.
        seed: For ties.
    """
    m = len(scores)
    r = round(GUESSED_SHARE * m) if guesses is None else guesses
    if not 0 < r <= m:
        raise ValueError(f"{r} guesses on {m} canaries")
    right = int(correctness(scores, included, seed=seed)[:r].sum())
    return EpsilonBound(
        epsilon=smallest_epsilon(right, guesses=r, canaries=m, delta=delta, error=1 - level),
        delta=delta,
        level=level,
        method="one run, fixed number of guesses (Steinke et al., 2023, arXiv:2305.08846, theorem 5.2)",
        proven=True,
        canaries=m,
        guesses=r,
        correct=right,
        ceiling=smallest_epsilon(r, guesses=r, canaries=m, delta=delta, error=1 - level),
        assumptions=(COINS, PRESET),
    )


def smallest_epsilon(correct: int, *, guesses: int, canaries: int, delta: float, error: float) -> float:
    """The smallest epsilon under which so many right guesses keep a p-value above ``error``; 0 if any does."""

    def excess(epsilon: float) -> float:
        return p_value(correct, guesses=guesses, canaries=canaries, epsilon=epsilon, delta=delta) - error

    if excess(0.0) >= 0:
        return 0.0
    if excess(LARGEST) <= 0:
        return LARGEST
    return float(optimize.brentq(excess, 0.0, LARGEST, xtol=1e-6)) - 1e-6
