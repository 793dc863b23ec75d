"""What an outcome stands for: a test of the audited setting, or a control of the test itself."""

from collections.abc import Iterable

from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
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


def is_clean(measurement: Measurement) -> bool | None:
    """Does a negative control show no more than chance? None where it cannot say."""
    interval = measurement.interval
    chance = measurement.at.get("fpr") if measurement.metric == "tpr_at_fpr" else measurement.floor
    if measurement.metric not in _HEADLINES or interval is None or chance is None or why_unusable(measurement):
        return None
    return interval.low <= chance


def carried_is_clean(measurement: Measurement) -> bool | None:
    """The same for the control that a membership attack carries beside its own figures."""
    interval = measurement.interval
    if measurement.metric != "control_auc" or interval is None or why_unusable(measurement):
        return None
    return interval.low <= 0.5


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


_HEADLINES = frozenset({"tpr_at_fpr", "recovered_share", "label_accuracy", "answer_accuracy"})
