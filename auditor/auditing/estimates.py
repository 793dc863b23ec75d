"""Estimates of epsilon that treat the canaries of one run as independent trials: heuristic, never a verdict."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.auditing.game import LEVEL, EpsilonBound, Floats
from auditor.auditing.trade_off import epsilon_of_mu
from auditor.metrics.intervals import binomial_upper

QUANTILES = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
"""Thresholds of the interval, as quantiles of all scores; fixed, so that their number can be paid for."""


@dataclass(frozen=True)
class PointEstimate:
    """A number without an error bar.

    Attributes:
        epsilon: At ``delta``.
        mu: Distance of the two Gaussians in standard deviations.
        method: Source.
    """

    epsilon: float
    delta: float
    mu: float
    method: str


def gaussian_fit(scores: Floats, included: NDArray[np.bool_], *, delta: float) -> PointEstimate:
    """Two Gaussians of one variance, canaries in against canaries out."""
    inside, outside = scores[included], scores[~included]
    freedom = max(1, len(scores) - 2)
    spread = math.sqrt((inside.var() * len(inside) + outside.var() * len(outside)) / freedom)
    mu = max(0.0, float(inside.mean() - outside.mean()) / max(spread, 1e-300))
    return PointEstimate(epsilon_of_mu(mu, delta), delta, mu, "two Gaussians of one variance")


def one_shot_estimate(cosines: Floats, *, parameters: int, delta: float) -> PointEstimate:
    """Epsilon from cosines of random canary directions with the final update; all canaries are in.

    Andrew et al., 2023, arXiv:2302.03098, algorithm 1: a direction that was not in has a cosine of N(0, 1/parameters);
    those that were in are fitted by a Gaussian; epsilon is that of telling the two apart, here read at
    the wider of the two spreads.
    """
    null = 1 / math.sqrt(parameters)
    mu = max(0.0, float(cosines.mean())) / max(null, float(cosines.std(ddof=1)))
    return PointEstimate(epsilon_of_mu(mu, delta), delta, mu, "one-shot canaries (Andrew et al., 2023)")


def gaussian_interval(
    scores: Floats, included: NDArray[np.bool_], *, delta: float, level: float = LEVEL
) -> EpsilonBound:
    """Lower limit of mu by Clopper-Pearson at fixed quantiles, as for many independent runs.

    Nasr et al., 2023, arXiv:2302.07956, section 5, applied to the canaries of one run, whose outcomes are not
    independent: heuristic.
    """
    inside, outside = scores[included], scores[~included]
    best = (0.0, 0)
    error = (1 - level) / (2 * len(QUANTILES))
    for quantile in QUANTILES:
        threshold = float(np.quantile(scores, quantile))
        misses, alarms = int((inside <= threshold).sum()), int((outside > threshold).sum())
        mu = _mu(misses, len(inside), alarms, len(outside), error)
        best = max(best, (mu, len(scores) - misses - alarms))
    return EpsilonBound(
        epsilon=epsilon_of_mu(best[0], delta),
        delta=delta,
        level=level,
        method="Clopper-Pearson and Gaussian trade-off on canaries of one run (Nasr et al., 2023, arXiv:2302.07956)",
        proven=False,
        canaries=len(scores),
        guesses=len(scores),
        correct=best[1],
        ceiling=epsilon_of_mu(_mu(0, len(inside), 0, len(outside), error), delta),
        assumptions=("canaries of one run are independent trials, which they are not",),
    )


def _mu(misses: int, inside: int, alarms: int, outside: int, error: float) -> float:
    miss, alarm = binomial_upper(misses, inside, error=error), binomial_upper(alarms, outside, error=error)
    if miss + alarm >= 1:
        return 0.0
    return float(stats.norm.isf(alarm) - stats.norm.ppf(miss))
