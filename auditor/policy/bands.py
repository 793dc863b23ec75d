"""Success bands S0 to S3: how well an attack did, read off whole intervals.

Membership: likelihood ratio TPR / FPR at false-positive rates from 0.1 % to 1 %. Reconstruction: share of records
matched beyond a calibrated null. Labels and other
answers: the part of what a blind guess leaves open. The limits are in
:mod:`auditor.policy.rule`.
"""

from enum import StrEnum
from typing import NamedTuple

from auditor.core.measurement import Measurement
from auditor.policy import rule
from auditor.policy.judgement import why_unusable
from auditor.policy.words import number, one_in, percent


class Band(StrEnum):
    """How well an attack did; ``inconclusive`` where the sample is too small to say."""

    S0 = "S0"
    S1 = "S1"
    S2 = "S2"
    S3 = "S3"
    INCONCLUSIVE = "inconclusive"


_REACH = {Band.S2: "clear success", Band.S3: "high success"}


class Banded(NamedTuple):
    """A band with its reason as a clause."""

    band: Band
    because: str


def band(measurement: Measurement) -> Banded | None:
    """The band of one measurement; None for a metric that has none (e.g. PSNR, AUC)."""
    rules = {
        "tpr_at_fpr": _membership,
        "recovered_share": _reconstruction,
        "label_accuracy": _guessed,
        "answer_accuracy": _guessed,
    }
    find = rules.get(measurement.metric)
    if find is None:
        return None
    if measurement.metric == "tpr_at_fpr" and not _rare_alarms(measurement):
        return _frequent(measurement)
    unusable = why_unusable(measurement)
    return Banded(Band.INCONCLUSIVE, unusable) if unusable else find(measurement)


def band_of_ratio(ratio: float) -> Band:
    """The band of a likelihood ratio that is known exactly, such as a proven cap."""
    if ratio <= rule.LIKELIHOOD_RATIO_S0:
        return Band.S0
    if ratio <= rule.LIKELIHOOD_RATIO_S1:
        return Band.S1
    return Band.S2 if ratio <= rule.LIKELIHOOD_RATIO_S3 else Band.S3


def _rare_alarms(measurement: Measurement) -> bool:
    return rule.SMALLEST_FPR <= measurement.at.get("fpr", 1.0) <= rule.LARGEST_FPR


def _frequent(measurement: Measurement) -> Banded | None:
    """Success where false alarms are frequent is at least as high where they are rare; the reverse says nothing."""
    fpr = measurement.at.get("fpr", 1.0)
    if not rule.LARGEST_FPR < fpr <= rule.FREQUENT_FPR or why_unusable(measurement) or measurement.interval is None:
        return None
    low = measurement.interval.low / fpr
    if low <= rule.LIKELIHOOD_RATIO_S0:
        return None
    return Banded(
        Band.S2,
        f"training records are named at least {number(low, towards='down')} times as often as others, even where "
        f"{one_in(fpr)} of the others are named",
    )


def _membership(measurement: Measurement) -> Banded:
    """S0 also asks that no single record passes a test of its own; without that test the lowest band is S1."""
    assert measurement.interval is not None
    fpr = measurement.at["fpr"]
    low, high = measurement.interval.low / fpr, measurement.interval.high / fpr
    said = (
        f"training records are named {number(low, towards='down')} to {number(high, towards='up')} times as often as "
        f"others, where {one_in(fpr)} of the others are named"
    )
    if low >= rule.LIKELIHOOD_RATIO_S3:
        return Banded(Band.S3, said)
    if low <= rule.LIKELIHOOD_RATIO_S0 and high > rule.LIKELIHOOD_RATIO_S1:
        return Banded(Band.INCONCLUSIVE, f"{said}: {_from_chance_to(band_of_ratio(high))}")
    if high > rule.LIKELIHOOD_RATIO_S1:
        return Banded(Band.S2, said)
    return Banded(Band.S1, said)


def _reconstruction(measurement: Measurement) -> Banded:
    assert measurement.interval is not None
    low, high = measurement.interval.low, measurement.interval.high
    null = measurement.floor or 0.0
    said = f"{percent(low, towards='down')} to {percent(high, towards='up')} of records recovered beyond chance"
    lowest = max(rule.NULL_FACTOR * null, rule.SHARE_S0)
    if low >= rule.SHARE_S3:
        return Banded(Band.S3, said)
    if low > null and (measurement.value or 0.0) > null:
        return Banded(Band.S2, f"{said}, more than chance explains ({percent(null)}): one person is enough")
    return _share(low, high, lowest=lowest, said=said)


def _guessed(measurement: Measurement) -> Banded:
    assert measurement.interval is not None
    guess = min(measurement.floor or 0.0, 1.0)
    room = 1.0 - guess
    if room <= 0:
        return Banded(Band.INCONCLUSIVE, "a guess without the attack is always right, so nothing is left to judge by")
    low = max(0.0, (measurement.interval.low - guess) / room)
    high = max(0.0, (measurement.interval.high - guess) / room)
    found = f"{percent(low, towards='down')} to {percent(high, towards='up')}"
    said = f"{found} of what a blind guess leaves open is found out"
    if low >= rule.SHARE_S3:
        return Banded(Band.S3, said)
    return _share(low, high, lowest=rule.SHARE_S0, said=said)


def _share(low: float, high: float, *, lowest: float, said: str) -> Banded:
    if high <= lowest:
        return Banded(Band.S0, said)
    if low <= lowest and high > max(rule.SHARE_S1, lowest):
        reach = Band.S3 if high >= rule.SHARE_S3 else Band.S2
        return Banded(Band.INCONCLUSIVE, f"{said}: {_from_chance_to(reach)}")
    return Banded(Band.S1 if high <= rule.SHARE_S1 else Band.S2, said)


def _from_chance_to(band: Band) -> str:
    """Where an interval that holds chance as well ends."""
    return f"too wide for one level, from no more than chance to {_REACH[band]}"
