"""Findings of controls: they judge the test, never the target."""

from auditor.core.findings import Finding, FindingStatus
from auditor.core.measurement import Outcome
from auditor.policy.judgement import Judgement
from auditor.policy.roles import is_clean, is_positive_control, shows_power
from auditor.policy.statements import measured_finding, most_prominent


def control_finding(outcome: Outcome) -> Finding:
    """``not_applicable`` where the control came out as it must, ``failed`` where the test cannot be relied on.

    A control says nothing about the target and has no limit, so it never adds to what is within one.
    """
    positive = is_positive_control(outcome)
    answer = shows_power if positive else is_clean
    name = f"{outcome.key}:control"
    answers = [(m, good) for m in outcome.measurements if (good := answer(m)) is not None]
    if not answers:
        judgement = Judgement(FindingStatus.INCONCLUSIVE, f"{_name(positive)}: gave no figure that could be used")
        return measured_finding(outcome, most_prominent(outcome), judgement, limit=None, name=name)
    measurement, good = (max if positive else min)(answers, key=lambda pair: pair[1])
    judgement = Judgement(FindingStatus.NOT_APPLICABLE if good else FindingStatus.FAILED, _because(positive, good))
    advice = "" if good else _ADVICE[positive]
    return measured_finding(outcome, measurement, judgement, limit=None, advice=advice, name=name)


_ADVICE = {
    True: "Give the attack more iterations (parameters) or budget.minutes, or choose another attack for this target.",
    False: "Draw members and non-members at random from one source (target.data), then run again.",
}


def _because(positive: bool, good: bool) -> str:
    text = {
        (True, True): "the attack works where everything is laid open",
        (True, False): "the attack finds nothing even where everything is laid open, so its low figures show nothing",
        (False, True): "no more than chance was found, as it must be",
        (False, False): "the attack seems to succeed where nothing can be found, so its figures cannot be relied on",
    }[positive, good]
    return f"{_name(positive)}: {text}"


def _name(positive: bool) -> str:
    return "positive control" if positive else "negative control"
