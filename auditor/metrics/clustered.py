"""Intervals for records that were attacked together: records of one update are not independent trials."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from auditor.core.measurement import ONE_UPDATE, Interval
from auditor.metrics.intervals import clopper_pearson


def share_interval(hits: Sequence[np.ndarray], *, level: float = 0.95) -> Interval:
    """Interval of the share of hits over records in clusters.

    With one record a cluster it is the exact one of Clopper and Pearson. Otherwise the same formula takes the
    effective number of records, ``n / (1 + (m - 1) * rho)`` with the intraclass correlation ``rho`` estimated by
    analysis of variance, times the squared ratio of Student's quantiles for ``n`` records and for ``k`` clusters, which
    is small where there are few of these (Korn and Graubard, 1998, Survey Methodology 24(2)). One cluster of several
    records says nothing about others: the interval then speaks of the records of this update alone, and says so.

    Args:
        hits: One boolean array per update.
        level: Coverage.
    """
    flat = np.concatenate([np.asarray(hit, dtype=float) for hit in hits]) if hits else np.zeros(0)
    if not len(flat) or all(len(hit) <= 1 for hit in hits):
        return clopper_pearson(int(flat.sum()), len(flat), level=level)
    used = [hit for hit in hits if len(hit)]
    if len(used) == 1:
        return clopper_pearson(int(flat.sum()), len(flat), level=level, over=ONE_UPDATE)
    effective = len(flat) / design_effect(used) * few_clusters(len(flat), len(used), level=level)
    k, error = float(flat.mean()) * effective, (1 - level) / 2
    low = 0.0 if not flat.any() else float(stats.beta.ppf(error, k, effective - k + 1))
    high = 1.0 if flat.all() else float(stats.beta.ppf(1 - error, k + 1, effective - k))
    how = "Clopper-Pearson, effective n (Korn-Graubard)"
    return Interval(low=low, high=high, level=level, method=how, over="records and updates")


def few_clusters(records: int, clusters: int, *, level: float) -> float:
    """The factor by which few clusters reduce the effective number of records, at most 1."""
    together, apart = (float(stats.t.ppf((1 + level) / 2, count - 1)) for count in (records, clusters))
    return min(1.0, (together / apart) ** 2)


def design_effect(values: Sequence[np.ndarray]) -> float:
    """How many times fewer independent records there are than records, at least 1.

    One cluster alone tells nothing about correlation between its records; then they count as independent.
    """
    used = [np.asarray(value, dtype=float) for value in values if len(value)]
    n, groups = sum(map(len, used)), len(used)
    if groups < 2 or n <= groups:
        return 1.0
    grand = np.concatenate(used).mean()
    between = sum(len(v) * (v.mean() - grand) ** 2 for v in used) / (groups - 1)
    within = sum(((v - v.mean()) ** 2).sum() for v in used) / (n - groups)
    size = (n - sum(len(v) ** 2 for v in used) / n) / (groups - 1)
    total = between + (size - 1) * within
    rho = float(np.clip((between - within) / total, 0.0, 1.0)) if total > 0 else 0.0
    return 1.0 + (n / groups - 1.0) * rho


def mean_interval(values: Sequence[np.ndarray], *, lowest: float, highest: float, level: float = 0.95) -> Interval:
    """Student's interval of the mean over records, from the means of updates where there are at least three.

    With fewer than two values nothing is known about the spread, and the interval is the whole range.
    """
    used = [np.asarray(value, dtype=float) for value in values if len(value)]
    by_update = len(used) >= 3
    points = np.array([value.mean() for value in used]) if by_update else np.concatenate(used)
    over = "updates" if by_update else "records"
    if len(points) < 2:
        return Interval(low=lowest, high=highest, level=level, method="range: a single value", over=over)
    half = float(stats.t.ppf((1 + level) / 2, len(points) - 1) * points.std(ddof=1) / np.sqrt(len(points)))
    centre = float(np.concatenate(used).mean())
    return Interval(
        low=max(lowest, centre - half), high=min(highest, centre + half), level=level, method="Student's t", over=over
    )


def records_in(updates: int) -> str:
    """What a share is a share of, e.g. ``records in 8 updates``."""
    return f"records in {updates} update{'s' if updates > 1 else ''}"
