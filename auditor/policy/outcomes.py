"""Findings of attacks: every planned attack yields at least one, and so does every limit."""

from collections.abc import Sequence

from auditor.core.findings import Finding, FindingStatus, Threshold
from auditor.core.measurement import ONE_UPDATE, Measurement, Outcome, OutcomeStatus
from auditor.policy import keys
from auditor.policy.advice import Adviser
from auditor.policy.checks import control_finding
from auditor.policy.judgement import Judgement, judge
from auditor.policy.phrases import headline, limited, phrase
from auditor.policy.roles import is_test
from auditor.policy.statements import instead, measured_finding, most_prominent
from auditor.policy.words import clauses, sentence

_ENDS = {
    OutcomeStatus.NOT_APPLICABLE: (FindingStatus.NOT_APPLICABLE, "does not apply"),
    OutcomeStatus.NOT_RUN: (FindingStatus.NOT_RUN, "was not run"),
    OutcomeStatus.FAILED: (FindingStatus.FAILED, "failed"),
}
_EXPERIMENTAL = "the attack is experimental, so that it finds no more decides nothing"
_POWERLESS = "the attack finds nothing even where everything is laid open, so its low figure shows nothing"
_ALONE = "a single update was attacked, which says nothing about others"
_CUT_SHORT = "the time budget ended the attack before its planned work was done, so its low figure shows little"


def outcome_findings(
    outcome: Outcome, thresholds: Sequence[Threshold], adviser: Adviser, *, weak: bool = False, among: int = 1
) -> tuple[Finding, ...]:
    """All findings of one outcome, in the order of the limits.

    Args:
        outcome: How a planned attack ended.
        thresholds: Limits of its scenario.
        adviser: Knows the settings.
        weak: The attack's positive control found nothing, so its low figures show nothing.
        among: Figures of negative controls of this class that the run reads together.
    """
    if outcome.status != OutcomeStatus.MEASURED:
        return (_unmeasured(outcome, adviser),)
    if not outcome.measurements:
        return (_without_figure(outcome),)
    if not is_test(outcome):
        return (control_finding(outcome, among=among),)
    metrics = {measurement.metric for measurement in outcome.measurements}
    relevant = [threshold for threshold in thresholds if keys.parsed(threshold.metric).metric in metrics]
    if not relevant:
        return (_without_limit(outcome),)
    doubt = _POWERLESS if weak else _CUT_SHORT if outcome.cut_short else outcome.doubt
    found = tuple(_against(outcome, threshold, adviser, doubt) for threshold in relevant)
    if any(finding.value is not None for finding in found):
        return found
    return tuple(f.model_copy(update={"sentence": f"{f.sentence}{instead(outcome)}"}) for f in found)


def unanswered(scenario: str, thresholds: Sequence[Threshold], findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """A finding for each limit of a scenario that no attack of this run spoke to."""
    judged = (f for f in findings if f.limit is not None and f.status != FindingStatus.NOT_APPLICABLE)
    spoken = {keys.parsed(finding.metric) for finding in judged}
    return tuple(
        Finding(
            id=f"{scenario}:limit:{threshold.metric}",
            outcome=scenario,
            status=FindingStatus.NOT_RUN,
            metric=threshold.metric,
            limit=threshold.limit,
            sentence=f"No attack of scenario '{scenario}' gave a figure for its limit on {limited(threshold.metric)}.",
            advice="Run an attack that measures it (setting attacks), or take the limit out of the scenario.",
        )
        for threshold in thresholds
        if keys.parsed(threshold.metric) not in spoken
    )


def _unmeasured(outcome: Outcome, adviser: Adviser) -> Finding:
    status, verb = _ENDS.get(outcome.status, (FindingStatus.FAILED, f"ended as '{outcome.status}'"))
    reasons = clauses(outcome.reasons)
    return Finding(
        id=f"{outcome.key}:{status.value}",
        outcome=outcome.key,
        status=status,
        sentence=sentence(f"{headline(outcome)}: {verb}, because {reasons or 'no reason was recorded'}"),
        advice=adviser.when_unmeasured(outcome),
    )


def _without_figure(outcome: Outcome) -> Finding:
    return Finding(
        id=f"{outcome.key}:no_figure",
        outcome=outcome.key,
        status=FindingStatus.INCONCLUSIVE,
        sentence=f"{headline(outcome)}: the attack ran, but gave no figure.",
        advice="Run the audit again; if this stays, report it as a fault of the attack.",
    )


def _without_limit(outcome: Outcome) -> Finding:
    measurement = most_prominent(outcome)
    status = FindingStatus.NOT_APPLICABLE if outcome.experimental else FindingStatus.INCONCLUSIVE
    step = f"Add a limit on {phrase(measurement).subject} to scenario '{outcome.scenario}', with its reason"
    return measured_finding(
        outcome,
        measurement,
        Judgement(status, "no limit was fixed before the run, so the figure is not judged"),
        limit=None,
        advice=f"{step}, and run again.",
    )


def _one_update(measurement: Measurement) -> str:
    return _ALONE if measurement.interval is not None and measurement.interval.over == ONE_UPDATE else ""


def _against(outcome: Outcome, threshold: Threshold, adviser: Adviser, doubt: str) -> Finding:
    measurement = next((m for m in outcome.measurements if keys.of(m) == keys.parsed(threshold.metric)), None)
    if measurement is None:
        return Finding(
            id=f"{outcome.key}:{threshold.metric}",
            outcome=outcome.key,
            status=FindingStatus.INCONCLUSIVE,
            metric=threshold.metric,
            limit=threshold.limit,
            sentence=f"{headline(outcome)}: {limited(threshold.metric)} has a limit but was not measured.",
            advice="Change the point in the scenario to one that the attack measures.",
        )
    limit = threshold.against(measurement.floor)
    judgement = judge(measurement, limit)
    doubt = doubt or _one_update(measurement)
    if doubt and judgement.status == FindingStatus.WITHIN:
        judgement = Judgement(FindingStatus.INCONCLUSIVE, f"{judgement.because}, but {doubt}")
    if outcome.experimental and judgement.status != FindingStatus.EXCEEDS:
        judgement = Judgement(FindingStatus.NOT_APPLICABLE, f"{judgement.because}; {_EXPERIMENTAL}")
    advice = adviser.about(outcome, measurement, judgement.status, limit=limit)
    measures = adviser.measures(outcome, judgement.status)
    found = measured_finding(outcome, measurement, judgement, limit=limit, advice=advice, key=threshold.metric)
    return found.model_copy(update={"measures": measures})
