"""A measurement against a limit: whole intervals only.

``exceeds`` only where the whole interval lies above the limit, ``within`` only where all of it lies at or below,
``inconclusive`` otherwise; and never ``exceeds`` where the same figure is reached without any attack.
"""

import math
from typing import NamedTuple

from auditor.core.findings import FindingStatus
from auditor.core.measurement import Measurement


class Judgement(NamedTuple):
    """A status with its reason as a clause."""

    status: FindingStatus
    because: str


def judge(measurement: Measurement, limit: float) -> Judgement:
    """Compare the interval of ``measurement`` with ``limit`` (same unit).

    For a metric where a lower figure means more leakage the comparison is mirrored.
    """
    unusable = why_unusable(measurement, limit)
    if unusable:
        return Judgement(FindingStatus.INCONCLUSIVE, unusable)
    interval = measurement.interval
    assert interval is not None
    sign = 1.0 if measurement.higher_is_worse else -1.0
    near, far = sorted((sign * interval.low, sign * interval.high))
    worse, better = ("above", "at or below") if sign > 0 else ("below", "at or above")
    if far <= sign * limit:
        return Judgement(FindingStatus.WITHIN, f"all of the interval is {better} the limit")
    if near > sign * limit:
        if _reached_without_attack(measurement, near=near, sign=sign):
            return Judgement(
                FindingStatus.INCONCLUSIVE,
                f"the interval is {worse} the limit, but a guess without the attack does as well",
            )
        return Judgement(FindingStatus.EXCEEDS, f"the whole interval is {worse} the limit")
    where = "begins at" if near == sign * limit else "reaches across"
    return Judgement(FindingStatus.INCONCLUSIVE, f"the interval {where} the limit, so this run cannot tell")


def why_unusable(measurement: Measurement, limit: float = 0.0) -> str:
    """Why no judgement may rest on this measurement; empty where one may."""
    if measurement.refused:
        return measurement.refused
    if measurement.n <= 0:
        return f"no {measurement.n_of or 'trial'} was counted"
    if measurement.value is None:
        return "no value was measured"
    if measurement.interval is None:
        return "the figure has no interval"
    low, value, high = measurement.interval.low, measurement.value, measurement.interval.high
    if any(math.isnan(end) for end in (low, value, high, limit)):
        return "the figure or its interval is not a number"
    slack = 1e-9 * max(1.0, abs(value))
    if not low - slack <= value <= high + slack:
        return "the figure lies outside its own interval"
    return ""


def records_needed(measurement: Measurement, limit: float) -> int | None:
    """About how many trials would settle the matter if the rate stayed as it is; None where none would.

    Normal approximation to a binomial: the half-width of the interval shrinks with the root of n.
    """
    interval, value = measurement.interval, measurement.value
    if interval is None or value is None or measurement.unit != "fraction" or why_unusable(measurement, limit):
        return None
    gap = abs(value - limit)
    width = (interval.high - value) if value < limit else (value - interval.low)
    if gap == 0 or width <= 0 or math.isinf(width):
        return None
    needed = float(measurement.n * (width / gap) ** 2)
    if needed > 1e9:
        return None
    digits: int = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return math.ceil(needed / digits) * digits


def _reached_without_attack(measurement: Measurement, *, near: float, sign: float) -> bool:
    return measurement.floor is not None and near <= sign * measurement.floor
