"""The canary game: scores of canaries that were put in by a fair coin, turned into guesses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True)
class EpsilonBound:
    """What an audit of one run may say about epsilon.

    Attributes:
        epsilon: Lower bound at ``delta``; 0 where nothing was shown.
        delta: Of the statement.
        level: Confidence.
        method: Bound and source.
        proven: True where docs/proofs/epsilon-audits.md holds its proof; any other bound is heuristic and must not
            drive a verdict.
        canaries, guesses, correct: Size and success of the game; ``guesses`` was fixed before the scores were seen.
        ceiling: The largest epsilon that this method could have shown with so many canaries, all guesses right.
        assumptions: What the statement rests on.
    """

    epsilon: float
    delta: float
    level: float
    method: str
    proven: bool
    canaries: int
    guesses: int
    correct: int
    ceiling: float
    assumptions: tuple[str, ...] = ()

    def contradicts(self, accounted: float) -> bool:
        """Do declared settings and running code disagree? Only a proven bound may say so."""
        return self.proven and self.epsilon > accounted

    @property
    def sentence(self) -> str:
        """The result with its power, for print."""
        kind = "lower bound" if self.proven else "heuristic lower estimate"
        return (
            f"{kind} on epsilon {self.epsilon:.2f} at delta {self.delta:g} ({self.level:.0%} confidence; "
            f"{self.correct:,} of {self.guesses:,} guesses right on {self.canaries:,} canaries). With so many canaries "
            f"this audit could show at most {self.ceiling:.2f}."
        )


COINS = "each canary was put in by its own fair coin, independent of all else"
PRESET = "the number of guesses was fixed before the scores were seen"


def correctness(scores: Floats, included: NDArray[np.bool_], *, seed: int, centred: bool = False) -> NDArray[np.bool_]:
    """Was each guess right, surest first?

    The highest score is guessed "in", then the lowest "out", then the next highest, and so on (two-sided). Ties
    are broken by a seeded draw that does not look at the coins.

    Args:
        scores: Higher means more likely in, shape ``(canaries,)``.
        included: The coins.
        seed: For ties.
        centred: Scores are log-odds: a positive one says "in", and the one furthest from zero is the surest.

    Raises:
        ValueError: if a score is not a number or shapes differ.
    """
    if scores.shape != included.shape or scores.ndim != 1:
        raise ValueError(f"scores have shape {scores.shape}, coins {included.shape}")
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    ties = np.random.default_rng(seed).random(len(scores))
    if centred:
        surest = np.lexsort((ties, -np.abs(scores)))
        return np.asarray(included[surest] == (scores[surest] > 0), dtype=bool)
    order = np.lexsort((ties, scores))
    right = np.empty(len(scores), dtype=bool)
    upper = (len(scores) + 1) // 2
    right[0::2] = included[order[::-1][:upper]]
    right[1::2] = ~included[order[: len(scores) - upper]]
    return right
