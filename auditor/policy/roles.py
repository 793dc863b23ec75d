"""What an outcome stands for: a test of the audited setting, or a control of the test itself."""

from collections.abc import Iterable
from statistics import NormalDist

from auditor.core.measurement import Interval, Measurement, Outcome, OutcomeStatus
from auditor.core.shape import ModelState
from auditor.policy.judgement import why_unusable


def is_negative_control(outcome: Outcome) -> bool:
    """Nothing can be found here; membership of a freshly initialised model, which no record has touched, is one.

    Whatever an attack scores there comes from a difference between the samples, not from the model.
    """
    untouched = outcome.attack_class == "membership" and outcome.state == ModelState.INITIAL
    return outcome.control == "negative" or (untouched and not outcome.control)


def is_positive_control(outcome: Outcome) -> bool:
    """Everything is laid open here, to see whether the attack works at all."""
    return outcome.control == "positive"


def is_test(outcome: Outcome) -> bool:
    """Does the outcome speak of the audited setting?"""
    return not (is_negative_control(outcome) or is_positive_control(outcome))


def is_measured(outcome: Outcome) -> bool:
    """Did the attack end with figures?"""
    return outcome.status == OutcomeStatus.MEASURED


def is_clean(measurement: Measurement, *, among: int = 1) -> bool | None:
    """Does a negative control show no more than chance? None where it cannot say.

    Args:
        measurement: Of an outcome that is a control.
        among: How many controls are read together; the interval is widened as Bonferroni asks.
    """
    interval = measurement.interval
    chance = measurement.at.get("fpr") if measurement.metric == "tpr_at_fpr" else measurement.floor
    if measurement.metric not in _HEADLINES or interval is None or chance is None or why_unusable(measurement):
        return None
    return _widened_low(measurement, interval, among) <= chance


def carried_is_clean(measurement: Measurement, *, among: int = 1) -> bool | None:
    """The same for the control that an attack on candidates carries beside its own figures.

    For whose record it was: records that nobody holds, against clients drawn as the owners are spread.

    Args:
        measurement: Of the control.
        among: How many controls are read together: an interval of 95 % misses once in twenty, so that of many some
            always would. The interval is widened as Bonferroni asks.
    """
    interval = measurement.interval
    chance = 0.5 if measurement.metric == "control_auc" else measurement.floor
    if measurement.metric not in _CARRIED or interval is None or chance is None or why_unusable(measurement):
        return None
    return _widened_low(measurement, interval, among) <= chance


def off_chance(measurement: Measurement, *, among: int = 1) -> str | None:
    """On which side of chance the whole interval of a negative control of membership lies.

    A share of recognised members is off only above: where scores tie, a threshold names fewer than it may.

    Args:
        measurement: Of a control: carried by an attack, or of an outcome that is one.
        among: How many controls are read together; each interval is widened as Bonferroni asks.

    Returns:
        ``above``, ``below``, or nothing where the interval holds chance; None where the figure cannot say.
    """
    interval, chance = measurement.interval, _chance(measurement)
    if chance is None or interval is None or why_unusable(measurement):
        return None
    if _widened_low(measurement, interval, among) > chance:
        return "above"
    both_sides = measurement.metric in {"auc", "control_auc"}
    return "below" if both_sides and _widened_high(measurement, interval, among) < chance else ""


def _chance(measurement: Measurement) -> float | None:
    """What a control of membership shows where nothing can be found."""
    if measurement.metric in {"tpr_at_fpr", "control_tpr_at_fpr"}:
        return measurement.at.get("fpr")
    return 0.5 if measurement.metric in {"auc", "control_auc"} else None


def _widened_high(measurement: Measurement, interval: Interval, among: int) -> float:
    """The upper end, widened as the lower one."""
    if measurement.value is None or among <= 1:
        return interval.high
    return measurement.value + (interval.high - measurement.value) * _wider(interval, among)


def _wider(interval: Interval, among: int) -> float:
    tail = (1 - interval.level) / 2
    return NormalDist().inv_cdf(1 - tail / among) / NormalDist().inv_cdf(1 - tail)


def _widened_low(measurement: Measurement, interval: Interval, among: int) -> float:
    """The lower end at the level that all intervals together need; by the normal shape of this one."""
    if measurement.value is None or among <= 1:
        return interval.low
    return measurement.value - (measurement.value - interval.low) * _wider(interval, among)


def shows_power(measurement: Measurement) -> bool | None:
    """Does a positive control show clearly more than chance? None where it cannot say."""
    clean = is_clean(measurement)
    return None if clean is None else not clean


def powerless(outcomes: Iterable[Outcome]) -> frozenset[str]:
    """Attacks that find nothing even where everything is laid open; their low figures elsewhere show nothing."""
    answers: dict[str, list[bool]] = {}
    for outcome in outcomes:
        if is_positive_control(outcome) and is_measured(outcome):
            found = [power for m in outcome.measurements if (power := shows_power(m)) is not None]
            answers.setdefault(outcome.attack, []).extend(found)
    return frozenset(attack for attack, found in answers.items() if found and not any(found))


_CARRIED = frozenset({"control_auc", "control_answer_accuracy"})
_HEADLINES = frozenset({"tpr_at_fpr", "recovered_share", "label_accuracy", "answer_accuracy"})
