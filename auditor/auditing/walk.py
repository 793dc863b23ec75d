"""Epsilon from one training run at every number of guesses at once."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.auditing.game import COINS, LEVEL, EpsilonBound, Floats, correctness
from auditor.auditing.weighted import price

STEP = 0.02
LARGEST = 12.0
CHECKPOINTS = 64
FEWEST_GUESSES = 5
TOLERANCE = 1e-6
"""Of the critical evidence, which is taken from above."""


def walk_bound(
    scores: Floats, included: NDArray[np.bool_], *, delta: float, level: float = LEVEL, seed: int = 0
) -> EpsilonBound:
    """Lower bound on epsilon without fixing the number of guesses.

    Under epsilon-DP the guesses, revealed surest first, are right no more often than independent coins of
    ``e^eps / (1 + e^eps)``, jointly (proof in docs/proofs/epsilon-audits.md, after Steinke et al., 2023,
    arXiv:2305.08846, proposition 5.1). So the largest binomial evidence along the walk is compared with its law for
    such coins, which is computed and not simulated: one test for all numbers of guesses. For delta > 0 the level
    also pays ``canaries * delta / (1 + e^eps)`` (section 3 of the proofs).

    Args:
        scores: Of the canaries; higher means more likely in.
        included: The coins.
        delta: Of the statement.
        level: Confidence.
        seed: For ties.
    """
    right = correctness(scores, included, seed=seed)
    m = len(right)
    checks = checkpoints(m)
    counts = np.cumsum(right, dtype=np.int64)[checks - 1]
    epsilon = _largest_refuted(counts, m, 1 - level, delta)
    best = _ceiling(m, 1 - level, delta)
    return EpsilonBound(
        epsilon=epsilon,
        delta=delta,
        level=level,
        method="one run, all numbers of guesses at once by a walk",
        proven=True,
        canaries=m,
        guesses=m,
        correct=int(right.sum()),
        ceiling=best,
        assumptions=(COINS,),
    )


def checkpoints(canaries: int) -> NDArray[np.int64]:
    """Numbers of guesses at which evidence is read, evenly spread over their logarithm."""
    spread = np.geomspace(min(FEWEST_GUESSES, canaries), canaries, num=CHECKPOINTS)
    return np.unique(np.round(spread).astype(np.int64))


@lru_cache(maxsize=64)
def _ceiling(canaries: int, error: float, delta: float) -> float:
    return _largest_refuted(checkpoints(canaries), canaries, error, delta)


def _largest_refuted(counts: NDArray[np.int64], canaries: int, error: float, delta: float) -> float:
    """The last epsilon of an increasing grid up to which all are refuted: one test at the true one decides."""
    refuted = 0.0
    for index in range(round(LARGEST / STEP) + 1):
        left = error - price(canaries, delta, index * STEP)
        if left <= 0 or not _refutes(_evidence(counts, canaries, index), canaries, index, left):
            break
        refuted = index * STEP
    return refuted


def _refutes(evidence: float, canaries: int, index: int, error: float) -> bool:
    """Is so much evidence less likely than ``error``? One checkpoint, or the union bound, often says so alone."""
    if evidence <= -math.log(error):
        return False
    return evidence > math.log(CHECKPOINTS / error) or evidence > critical(canaries, index, error)


@lru_cache(maxsize=2048)
def critical(canaries: int, index: int, error: float) -> float:
    """Evidence that a walk of independent guesses at this epsilon exceeds with chance at most ``error``.

    Args:
        canaries: All are guessed.
        index: Of epsilon on the grid of steps of 0.02.
        error: In (0, 1).
    """
    low, high = 0.0, math.log(CHECKPOINTS / error)  # at this end by the union bound
    while high - low > TOLERANCE:
        middle = (low + high) / 2
        low, high = (low, middle) if exceeds(canaries, index, middle) <= error else (middle, high)
    return high


def exceeds(canaries: int, index: int, evidence: float) -> float:
    """Chance that a walk of independent Bernoulli(e^eps / (1 + e^eps)) guesses shows more than so much evidence.

    From checkpoint to checkpoint the law of the count is convolved with that of the new guesses; what has come above
    the bar is taken out and added up.

    Args:
        canaries, index: As above.
        evidence: The bar.
    """
    q = 1 / (1 + math.exp(-index * STEP))
    law, out = np.ones(1), 0.0
    for step, table in zip(np.diff(checkpoints(canaries), prepend=0), _tables(canaries, index), strict=True):
        law = np.convolve(law, stats.binom.pmf(np.arange(step + 1), step, q))
        bar = int(np.searchsorted(table, evidence, side="right"))
        out += float(law[bar:].sum())
        law = law[:bar]
    return out


@lru_cache(maxsize=64)
def _tables(canaries: int, index: int) -> tuple[Floats, ...]:
    """Minus the log of the binomial tail at each checkpoint, by number of right guesses; rises with it."""
    q = 1 / (1 + math.exp(-index * STEP))
    return tuple(-stats.binom.logsf(np.arange(k + 1) - 1, k, q) for k in checkpoints(canaries))


def _evidence(counts: NDArray[np.int64], canaries: int, index: int) -> float:
    q = 1 / (1 + math.exp(-index * STEP))
    return -float(np.min(stats.binom.logsf(counts - 1, checkpoints(canaries), q)))
