"""Epsilon from one training run where sure guesses count more: sharper than a plain count, without any assumption."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from auditor.auditing.game import COINS, LEVEL, PRESET, EpsilonBound, Floats, correctness
from auditor.auditing.one_run import LARGEST

Levels = tuple[tuple[int, float], ...]
"""Weight of a right guess, and the share of canaries that has it; the surest first. Fixed before any score is seen."""

SATURATED: Levels = ((2, 0.55), (1, 0.10))
"""For mechanisms whose every guess is about equally sure, such as Laplace noise."""

_FROM, _TO, _LEVELS = 1.1, 3.29, 20
"""Standard normal scores between which weights rise evenly; below the first a guess says too little to count."""


def _normal() -> Levels:
    ends = [_FROM + i * (_TO - _FROM) / _LEVELS for i in range(_LEVELS)]
    above = [2 * float(stats.norm.sf(end)) for end in ends] + [0.0]
    return tuple((i + 1, above[i] - above[i + 1]) for i in range(_LEVELS - 1, -1, -1))


NORMAL: Levels = _normal()
"""For Gaussian noise: what a guess says grows with its score, so its weight does."""


_GRID = tuple(0.25 * i for i in range(49))


def weighted_bound(
    scores: Floats,
    included: NDArray[np.bool_],
    *,
    delta: float = 0.0,
    levels: Levels | None = None,
    level: float = LEVEL,
    seed: int = 0,
    centred: bool = False,
) -> EpsilonBound:
    """Lower bound on epsilon from a weighted count of right guesses.

    Under epsilon-DP the indicators of right guesses, surest first, are dominated by independent Bernoulli draws of
    ``e^eps / (1 + e^eps)``; under (epsilon, delta)-DP so they are but for an event of chance ``canaries * delta /
    (1 + e^eps)`` (docs/proofs/epsilon-audits.md, sections 1 and 3, after Steinke et al., 2023, arXiv:2305.08846). So a
    count that does not decrease in them has its law under the worst case: a convolution of binomials.

    Args:
        scores: Of the canaries; higher means more likely in.
        included: The coins.
        delta: Of the statement.
        levels: Weights and shares; default: :data:`SATURATED` for delta 0, else :data:`NORMAL`.
        level: Confidence.
        seed: For ties.
        centred: Scores are log-odds; see :func:`correctness`.

    Raises:
        ValueError: where there are too few canaries for the shares.
    """
    m = len(scores)
    counts = sizes(m, levels or (NORMAL if delta else SATURATED))
    right = correctness(scores, included, seed=seed, centred=centred)
    guesses = sum(size for _, size in counts)
    weights = np.repeat([weight for weight, _ in counts], [size for _, size in counts])
    count, most = int(weights[right[:guesses]].sum()), int(weights.sum())
    return EpsilonBound(
        epsilon=smallest(count, counts, m, delta, 1 - level),
        delta=delta,
        level=level,
        method="one run, sure guesses count more (after Steinke et al., 2023, arXiv:2305.08846)",
        proven=True,
        canaries=m,
        guesses=guesses,
        correct=int(right[:guesses].sum()),
        ceiling=smallest(most, counts, m, delta, 1 - level),
        assumptions=(COINS, PRESET),
    )


def sizes(canaries: int, levels: Levels) -> tuple[tuple[int, int], ...]:
    """Weight and number of guesses of each level, levels without a guess left out.

    Raises:
        ValueError: where fewer than two guesses are left.
    """
    ends = np.round(np.cumsum([share for _, share in levels]) * canaries).astype(int)
    starts = np.concatenate(([0], ends[:-1]))
    found = tuple((w, int(b - a)) for (w, _), a, b in zip(levels, starts, ends, strict=True) if b > a)
    if sum(size for _, size in found) < 2:
        raise ValueError(f"{canaries} canaries are too few")
    return found


def tail(count: int, counts: tuple[tuple[int, int], ...], *, epsilon: float) -> float:
    """Largest chance of so large a weighted count under any epsilon-DP training.

    Args:
        count: Weighted count of right guesses.
        counts: As from :func:`sizes`.
        epsilon: Of the hypothesis.
    """
    return float(_tails(counts, epsilon)[count])


@lru_cache(maxsize=128)
def _tails(counts: tuple[tuple[int, int], ...], epsilon: float) -> Floats:
    q = 1 / (1 + math.exp(-epsilon))
    law = np.ones(1)
    for weight, size in counts:
        spread = np.zeros(weight * size + 1)
        spread[::weight] = stats.binom.pmf(np.arange(size + 1), size, q)
        law = np.convolve(law, spread)
    return np.asarray(law[::-1].cumsum()[::-1])


def price(canaries: int, delta: float, epsilon: float) -> float:
    """Chance that (epsilon, delta)-DP lets any canary be guessed better than epsilon-DP would, at most."""
    return canaries * delta / (1 + math.exp(min(epsilon, 700.0)))


@lru_cache(maxsize=4096)
def smallest(count: int, counts: tuple[tuple[int, int], ...], canaries: int, delta: float, error: float) -> float:
    """The largest epsilon that a weighted count refutes at this chance of an error; 0 where it refutes none."""

    def excess(epsilon: float) -> float:
        return tail(count, counts, epsilon=epsilon) + price(canaries, delta, epsilon) - error

    if excess(LARGEST) <= 0:
        return LARGEST
    # What is (epsilon, delta)-DP is so at every larger epsilon, so the last one that is refuted counts. The price falls
    # with epsilon: the first ones may stand where a later one does not.
    above = LARGEST
    for below in _GRID[::-1] if delta else (0.0,):
        if excess(below) < 0:
            return max(0.0, float(optimize.brentq(excess, below, above, xtol=1e-6)) - 1e-6)
        above = below
    return 0.0
