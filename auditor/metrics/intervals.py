"""Confidence intervals for counts: exact ones for claims, Jeffreys' for display."""

from scipy import stats

from auditor.core.measurement import Interval


def clopper_pearson(k: int, n: int, *, level: float = 0.95, over: str = "records") -> Interval:
    """The exact interval of a binomial probability after ``k`` hits in ``n`` independent trials.

    Clopper and Pearson, 1934, Biometrika 26(4). Covers the truth with at least ``level``, whatever the truth is.

    Args:
        k: Hits.
        n: Trials; with none the interval is [0, 1].
        level: Coverage.
        over: What was random, for print.
    """
    _check(k, n, level)
    return Interval(
        low=binomial_lower(k, n, error=(1 - level) / 2),
        high=binomial_upper(k, n, error=(1 - level) / 2),
        level=level,
        method="Clopper-Pearson",
        over=over,
    )


def jeffreys(k: int, n: int, *, level: float = 0.95, over: str = "records") -> Interval:
    """The equal-tailed Bayesian interval under Jeffreys' prior; shorter than the exact one, for display only.

    Brown, Cai and DasGupta, 2001, Statistical Science 16(2), with their correction at the ends.
    """
    _check(k, n, level)
    tail = (1 - level) / 2
    posterior = stats.beta(k + 0.5, n - k + 0.5)
    return Interval(
        low=0.0 if k == 0 else float(posterior.ppf(tail)),
        high=1.0 if k == n else float(posterior.ppf(1 - tail)),
        level=level,
        method="Jeffreys",
        over=over,
    )


def binomial_lower(k: int, n: int, *, error: float) -> float:
    """Lower limit of a binomial probability that is too high with probability at most ``error``."""
    return 0.0 if k <= 0 else float(stats.beta.ppf(error, k, n - k + 1))


def binomial_upper(k: int, n: int, *, error: float) -> float:
    """Upper limit of a binomial probability that is too low with probability at most ``error``."""
    return 1.0 if k >= n else float(stats.beta.ppf(1 - error, k + 1, n - k))


def _check(k: int, n: int, level: float) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"{k} hits in {n} trials")
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
