"""Epsilon from one training run where sure guesses count double: sharper than a plain count, for pure epsilon."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from auditor.auditing.game import COINS, LEVEL, PRESET, EpsilonBound, Floats, correctness
from auditor.auditing.one_run import LARGEST

SURE, LESS_SURE = 0.55, 0.1
"""Shares of canaries whose guesses count double and once; fixed before any score is seen."""


def weighted_bound(scores: Floats, included: NDArray[np.bool_], *, level: float = LEVEL, seed: int = 0) -> EpsilonBound:
    """Lower bound on epsilon at delta 0 from a weighted count of right guesses.

    Under epsilon-DP the indicators of right guesses, surest first, are dominated by independent Bernoulli draws of
    ``e^eps / (1 + e^eps)`` (docs/proofs/epsilon-audits.md, section 1, after Steinke et al., 2023, arXiv:2305.08846), so
    any count that does not decrease in them is. Its law under the worst case is a convolution of two binomials.

    Args:
        scores: Of the canaries; higher means more likely in.
        included: The coins.
        level: Confidence.
        seed: For ties.
    """
    m = len(scores)
    double, single = round(SURE * m), round(LESS_SURE * m)
    if not double or not single:
        raise ValueError(f"{m} canaries are too few")
    right = correctness(scores, included, seed=seed)
    count = 2 * int(right[:double].sum()) + int(right[double : double + single].sum())
    return EpsilonBound(
        epsilon=_smallest(count, double, single, 1 - level),
        delta=0.0,
        level=level,
        method="one run, sure guesses counted double (after Steinke et al., 2023, arXiv:2305.08846)",
        proven=True,
        canaries=m,
        guesses=double + single,
        correct=int(right[: double + single].sum()),
        ceiling=_smallest(2 * double + single, double, single, 1 - level),
        assumptions=(COINS, PRESET),
    )


def tail(count: int, double: int, single: int, *, epsilon: float) -> float:
    """Largest chance of so large a weighted count under any epsilon-DP training."""
    q = 1 / (1 + math.exp(-epsilon))
    twice = np.zeros(2 * double + 1)
    twice[::2] = stats.binom.pmf(np.arange(double + 1), double, q)
    law = np.convolve(twice, stats.binom.pmf(np.arange(single + 1), single, q))
    return float(law[count:].sum())


def _smallest(count: int, double: int, single: int, error: float) -> float:
    def excess(epsilon: float) -> float:
        return tail(count, double, single, epsilon=epsilon) - error

    if excess(0.0) >= 0:
        return 0.0
    if excess(LARGEST) <= 0:
        return LARGEST
    return float(optimize.brentq(excess, 0.0, LARGEST, xtol=1e-6)) - 1e-6
