"""Rounds that count when participation is random but public: it does not amplify, yet most rounds pass a unit by."""

import math
from typing import NamedTuple

from scipy import stats

_SHARE = 0.02


class Rounds(NamedTuple):
    """How often a unit takes part.

    Attributes:
        most: Not exceeded, but with probability ``missed``.
        missed: That probability; it is taken out of delta.
        least: Reached with probability ``reached``.
        reached: That probability.
    """

    most: int
    missed: float
    least: int
    reached: float


def rounds(total: int, rate: float, delta: float) -> Rounds:
    """Binomial bounds on participation: ``delta`` gives up a fiftieth for the upper one.

    The mixture over the number of rounds ``K`` has ``delta(eps) = E[delta_K(eps)]``, so it is at most
    ``delta_most(eps) + P(K > most)`` and at least ``P(K >= least) delta_least(eps)``.
    """
    if rate >= 1:
        return Rounds(total, 0.0, total, 1.0)
    count = stats.binom(total, rate)
    most = min(total, int(count.isf(_SHARE * delta)) + 1)
    missed = float(count.sf(most))
    least = max(0, math.floor(count.ppf(0.25)))
    return Rounds(most, missed, least, float(count.sf(least - 1)))
