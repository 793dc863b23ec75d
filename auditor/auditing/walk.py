"""Epsilon from one training run at every number of guesses at once."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.auditing.game import COINS, LEVEL, EpsilonBound, Floats, correctness
from auditor.auditing.weighted import price

WALKS = 2000
STEP = 0.02
LARGEST = 12.0
CHECKPOINTS = 64
FEWEST_GUESSES = 5


def walk_bound(
    scores: Floats, included: NDArray[np.bool_], *, delta: float, level: float = LEVEL, seed: int = 0
) -> EpsilonBound:
    """Lower bound on epsilon without fixing the number of guesses.

    Under epsilon-DP the guesses, revealed surest first, are right no more often than independent coins of
    ``e^eps / (1 + e^eps)``, jointly (proof in docs/proofs/epsilon-audits.md, after Steinke et al., 2023,
    arXiv:2305.08846, proposition 5.1). So the largest binomial evidence along the walk is compared with that of
    simulated walks: one test for all numbers of guesses. For delta > 0 the level also pays ``canaries * delta /
    (1 + e^eps)`` (section 3 of the proofs).

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
    best = _largest_refuted(checks, m, 1 - level, delta)
    return EpsilonBound(
        epsilon=epsilon,
        delta=delta,
        level=level,
        method="one run, all numbers of guesses at once by a simulated walk",
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


def _largest_refuted(counts: NDArray[np.int64], canaries: int, error: float, delta: float) -> float:
    """The last epsilon of an increasing grid up to which all are refuted: one test at the true one decides."""
    refuted = 0.0
    for index in range(round(LARGEST / STEP) + 1):
        left = error - price(canaries, delta, index * STEP)
        table = _tables(canaries, index)
        if left <= 0 or _evidence(counts[None, :], table)[0] <= _critical(canaries, index, left):
            break
        refuted = index * STEP
    return refuted


@lru_cache(maxsize=2048)
def _critical(canaries: int, index: int, error: float) -> float:
    """Evidence that a fair walk exceeds with probability at most ``error``, simulation error included."""
    simulated = np.sort(_evidence(_simulated(canaries, index), _tables(canaries, index)))
    rank = math.ceil((1 - error) * (WALKS + 1))
    return float(simulated[rank - 1]) if rank <= WALKS else math.inf


@lru_cache(maxsize=2048)
def _tables(canaries: int, index: int) -> tuple[Floats, ...]:
    """Minus the log of the binomial tail at each checkpoint, by number of right guesses."""
    q = 1 / (1 + math.exp(-index * STEP))
    return tuple(-stats.binom.logsf(np.arange(k + 1) - 1, k, q) for k in checkpoints(canaries))


def _simulated(canaries: int, index: int) -> NDArray[np.int64]:
    """Right guesses at each checkpoint of walks of fair coins at this epsilon, ``(walks, checkpoints)``."""
    q = 1 / (1 + math.exp(-index * STEP))
    steps = np.diff(checkpoints(canaries), prepend=0)
    random = np.random.default_rng([canaries, index])
    return np.cumsum(random.binomial(steps[None, :], q, size=(WALKS, len(steps))), axis=1)


def _evidence(counts: NDArray[np.int64], tables: tuple[Floats, ...]) -> Floats:
    values = np.stack([table[counts[:, place]] for place, table in enumerate(tables)], axis=1)
    return np.asarray(values.max(axis=1), dtype=np.float64)
