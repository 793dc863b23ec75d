"""What an outcome stands for: a test of the target, or a control where nothing can be found."""

from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.core.shape import ModelState


def is_control(outcome: Outcome) -> bool:
    """Membership of a freshly initialised model: no record has touched it, so nothing can be found.

    Whatever an attack scores there comes from a difference between the two samples, not from the model.
    """
    return outcome.attack_class == "membership" and outcome.state == ModelState.INITIAL


def is_measured(outcome: Outcome) -> bool:
    """Did the attack end with figures?"""
    return outcome.status == OutcomeStatus.MEASURED


def is_clean(measurement: Measurement) -> bool | None:
    """Is a control's rate of right accusations no higher than its rate of wrong ones? None where it cannot say."""
    interval = measurement.interval
    if measurement.metric != "tpr_at_fpr" or interval is None or measurement.value is None or measurement.refused:
        return None
    return interval.low <= measurement.at.get("fpr", 0.0)
