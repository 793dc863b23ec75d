"""Findings of controls: they judge the test, never the target."""

from functools import partial

from auditor.core.findings import Finding, FindingStatus
from auditor.core.measurement import Outcome
from auditor.policy.judgement import Judgement
from auditor.policy.roles import is_clean, is_positive_control, shows_power
from auditor.policy.statements import measured_finding, most_prominent


def control_finding(outcome: Outcome, *, among: int = 1) -> Finding:
    """``not_applicable`` where the control came out as it must, ``failed`` where the test cannot be relied on.

    A control says nothing about the target and has no limit, so it never adds to what is within one.

    Args:
        outcome: A positive or negative control.
        among: How many figures of negative controls are read together: of many intervals of 95 % some always miss.
    """
    positive = is_positive_control(outcome)
    answer = shows_power if positive else partial(is_clean, among=among)
    name = f"{outcome.key}:control"
    answers = [(m, good) for m in outcome.measurements if (good := answer(m)) is not None]
    if not answers:
        judgement = Judgement(FindingStatus.INCONCLUSIVE, f"{_name(positive)}: gave no figure that could be used")
        return measured_finding(outcome, most_prominent(outcome), judgement, limit=None, name=name)
    measurement, good = (max if positive else min)(answers, key=lambda pair: pair[1])
    because = _because(positive, good)
    if not positive and among > 1:
        because += _together(any(is_clean(m) is False for m, _ in answers), good, among)
    judgement = Judgement(FindingStatus.NOT_APPLICABLE if good else FindingStatus.FAILED, because)
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


def _together(alone: bool, good: bool, among: int) -> str:
    """That many controls were read as one family, where it decides or would have decided otherwise."""
    if not good:
        return f", even by an interval widened for the {among:,} control figures that are read together (Bonferroni)"
    return (
        f"; its own 95 % interval misses chance, which {among:,} such intervals explain (Bonferroni)" if alone else ""
    )


def _name(positive: bool) -> str:
    return "positive control" if positive else "negative control"
