"""Mechanisms that are a Gaussian mechanism in disguise: one number, mu, says everything.

``mu`` is the sensitivity over the noise standard deviation. Compositions add squares (Dong, Roth and Su, 2022,
arXiv:1905.02383, corollary 3.3), so full participation, tree aggregation, matrix factorisation and local noise
all end here, exactly.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, special

from auditor.accounting.arrays import Floats


def gaussian_log_delta(mu: float, epsilon: float) -> float:
    """``log delta(epsilon)`` of mu-GDP (Balle and Wang, 2018, arXiv:1805.06530, theorem 8), exact also far out.

    ``delta = Phi(a) - e^eps Phi(b)`` with ``a = mu/2 - eps/mu`` and ``b = a - mu`` is written with the scaled
    complementary error function, because both terms underflow together.
    """
    above = mu / 2 - epsilon / mu
    below = -mu / 2 - epsilon / mu
    if above > -1:
        value = float(special.ndtr(above) - np.exp(min(epsilon + float(special.log_ndtr(below)), 0.0)))
        return math.log(value) if value > 0 else -math.inf
    mills = special.erfcx(-above / math.sqrt(2)) - special.erfcx(-below / math.sqrt(2))
    return -above * above / 2 + math.log(max(float(mills), 1e-320) / 2)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Epsilon of mu-GDP at ``delta``; zero where even epsilon 0 has a smaller delta."""
    if mu == 0:
        return 0.0
    if math.isinf(mu):
        return math.inf
    target = math.log(delta)
    if gaussian_log_delta(mu, 0.0) <= target:
        return 0.0
    high = mu * mu / 2 + mu * math.sqrt(2 * -target) + 1e-12
    while gaussian_log_delta(mu, high) > target:
        high *= 2
    root = optimize.brentq(
        lambda epsilon: max(gaussian_log_delta(mu, epsilon), -1e300) - target, 0.0, high, xtol=1e-300, rtol=8.9e-16
    )
    return float(root)


def gaussian_tpr(mu: float, fpr: float) -> float:
    """Largest true positive rate of any test of mu-GDP at a false positive rate."""
    return float(special.ndtr(special.ndtri(fpr) + mu))


def tree_mu(noise: float, steps: int, *, participations: int = 1, separation: int | None = None) -> float:
    """Upper bound on mu of DP-FTRL's binary tree (Kairouz et al., 2021, arXiv:2103.00039).

    At each level of the tree a unit that takes part ``k`` times, at least ``separation`` steps apart, is in nodes
    of ``2^l`` steps; of its ``k`` contributions at most ``ceil(2^l / separation)`` fall into one node, so the squared
    sensitivity of the level is at most ``k * min(k, ceil(2^l / separation))``. One participation is exact.

    Args:
        noise: Noise standard deviation of each node, in units of the clip.
        steps: Rounds.
        participations: Rounds one unit takes part in.
        separation: Fewest rounds from one participation to the next; 1 where it is not known.
    """
    levels = max(1, math.ceil(math.log2(steps + 1)))
    apart = separation or 1
    squared = sum(participations * min(participations, math.ceil(2**level / apart)) for level in range(levels))
    return math.sqrt(squared) / noise


def matrix_sensitivity(strategy: Floats, *, participations: int = 1, separation: int | None = None) -> float:
    """Sensitivity of a matrix mechanism ``A = B C`` with strategy ``C`` for units that clip to one.

    One participation: the largest column norm. Several, at fixed distance ``separation`` (fixed-epoch order):
    the largest norm of a sum of columns that far apart, exact for ``C^T C >= 0`` (Choquette-Choo et al., 2023,
    arXiv:2211.06530, section 2). Otherwise columns are added by their norms, which is an upper bound.
    """
    columns = np.linalg.norm(strategy, axis=0)
    if participations == 1:
        return float(columns.max())
    apart = separation or 1
    gram = strategy.T @ strategy
    if float(gram.min()) >= -1e-12 * float(gram.max()) and separation is not None:
        sums = [
            strategy[:, first::apart][:, :participations].sum(axis=1) for first in range(min(apart, strategy.shape[1]))
        ]
        return max(float(np.linalg.norm(total)) for total in sums)
    return float(np.sort(columns)[::-1][:participations].sum())


def banded_sensitivity(strategy: Floats, *, participations: int) -> float:
    """Sensitivity of a banded strategy whose bands are no wider than the separation: ``sqrt(k)`` times a column."""
    return math.sqrt(participations) * float(np.linalg.norm(strategy, axis=0).max())


def compose_mu(parts: Sequence[float]) -> float:
    """mu of a composition of Gaussian mechanisms."""
    return math.sqrt(sum(mu * mu for mu in parts))


def adaptive_clip_noise(noise: float, count_noise: float, *, centred: bool = True) -> float:
    """The noise multiplier that accounts for the update and for the private count of clipped units together.

    Andrew et al., 2021, arXiv:1905.03871, theorem 1, read backwards: the two releases have sensitivities 1 and 1/2
    (bits centred at 1/2) or 1 (bits 0 and 1) over their noise.

    Args:
        noise: Noise multiplier on the updates.
        count_noise: Noise standard deviation on the count, in units of one client.
        centred: Whether the bits are centred at one half.
    """
    if count_noise == 0:
        return 0.0
    sensitivity = 0.5 if centred else 1.0
    return float((noise**-2 + (sensitivity / count_noise) ** 2) ** -0.5) if noise > 0 else 0.0
