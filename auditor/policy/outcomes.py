"""Findings of attacks: every planned attack yields at least one, and so does every limit."""

from collections.abc import Sequence

from auditor.core.findings import Finding, FindingStatus, Threshold
from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.policy import keys
from auditor.policy.advice import Adviser
from auditor.policy.judgement import Judgement, judge, records_needed
from auditor.policy.phrases import found, headline, phrase
from auditor.policy.roles import is_clean, is_control
from auditor.policy.words import quantity, sentence

_ENDS = {
    OutcomeStatus.NOT_APPLICABLE: (FindingStatus.NOT_APPLICABLE, "does not apply"),
    OutcomeStatus.NOT_RUN: (FindingStatus.NOT_RUN, "was not run"),
    OutcomeStatus.FAILED: (FindingStatus.FAILED, "failed"),
}
_HEADLINES = ("tpr_at_fpr", "recovered_share", "label_accuracy")


def outcome_findings(outcome: Outcome, thresholds: Sequence[Threshold], adviser: Adviser) -> tuple[Finding, ...]:
    """All findings of one outcome, in the order of the limits."""
    if outcome.status != OutcomeStatus.MEASURED:
        return (_unmeasured(outcome, adviser),)
    if not outcome.measurements:
        return (_without_figure(outcome),)
    if is_control(outcome):
        return (_control(outcome),)
    metrics = {measurement.metric for measurement in outcome.measurements}
    relevant = [threshold for threshold in thresholds if keys.parsed(threshold.metric).metric in metrics]
    if not relevant:
        return (_without_limit(outcome),)
    return tuple(_against(outcome, threshold, adviser) for threshold in relevant)


def unanswered(scenario: str, thresholds: Sequence[Threshold], findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """A finding for each limit of a scenario that no attack of this run spoke to."""
    spoken = {keys.parsed(finding.metric) for finding in findings if finding.limit is not None}
    return tuple(
        Finding(
            id=f"{scenario}:limit:{threshold.metric}",
            outcome=scenario,
            status=FindingStatus.NOT_RUN,
            metric=threshold.metric,
            limit=threshold.limit,
            sentence=f"No attack of scenario '{scenario}' gave a figure for its limit on {threshold.metric}.",
            advice="Run an attack that measures it (setting attacks), or take the limit out of the scenario.",
        )
        for threshold in thresholds
        if keys.parsed(threshold.metric) not in spoken
    )


def _unmeasured(outcome: Outcome, adviser: Adviser) -> Finding:
    status, verb = _ENDS.get(outcome.status, (FindingStatus.FAILED, f"ended as '{outcome.status}'"))
    reasons = "; ".join(reason.strip().rstrip(".") for reason in outcome.reasons if reason.strip())
    return Finding(
        id=f"{outcome.key}:{status.value}",
        outcome=outcome.key,
        status=status,
        sentence=sentence(f"{headline(outcome)}: {verb}, because {reasons or 'no reason was recorded'}"),
        advice=adviser.when_unmeasured(outcome),
    )


def _control(outcome: Outcome) -> Finding:
    """Membership of an untrained model: the limit is chance itself, and a breach is a fault of the test."""
    answers = [(m, clean) for m in outcome.measurements if (clean := is_clean(m)) is not None]
    worst = min(answers, key=lambda answer: answer[1], default=None)
    if worst is None:
        judgement = Judgement(FindingStatus.INCONCLUSIVE, "the control gave no usable rate of true positives")
        return _finding(outcome, min(outcome.measurements, key=_prominence), judgement, limit=None, advice="")
    measurement, clean = worst
    if clean:
        judgement = Judgement(FindingStatus.WITHIN, "negative control: no more than chance was found, as it must be")
        return _finding(outcome, measurement, judgement, limit=measurement.at["fpr"], advice="")
    because = "negative control: the attack seems to succeed where nothing can be found, so members and others differ"
    advice = "Draw members and non-members at random from one source (target.data), then run again."
    judgement = Judgement(FindingStatus.FAILED, because)
    return _finding(outcome, measurement, judgement, limit=measurement.at["fpr"], advice=advice)


def _without_figure(outcome: Outcome) -> Finding:
    return Finding(
        id=f"{outcome.key}:no_figure",
        outcome=outcome.key,
        status=FindingStatus.INCONCLUSIVE,
        sentence=f"{headline(outcome)}: the attack ran, but gave no figure.",
        advice="Run the audit again; if this stays, report it as a fault of the attack.",
    )


def _without_limit(outcome: Outcome) -> Finding:
    measurement = min(outcome.measurements, key=_prominence)
    return _finding(
        outcome,
        measurement,
        Judgement(FindingStatus.INCONCLUSIVE, "no limit was fixed before the run, so the figure is not judged"),
        limit=None,
        advice=f"Add a limit on {measurement.key} to scenario '{outcome.scenario}', with its reason, and run again.",
    )


def _against(outcome: Outcome, threshold: Threshold, adviser: Adviser) -> Finding:
    measurement = next((m for m in outcome.measurements if keys.of(m) == keys.parsed(threshold.metric)), None)
    if measurement is None:
        return Finding(
            id=f"{outcome.key}:{threshold.metric}",
            outcome=outcome.key,
            status=FindingStatus.INCONCLUSIVE,
            metric=threshold.metric,
            limit=threshold.limit,
            sentence=f"{headline(outcome)}: {threshold.metric} has a limit but was not measured.",
            advice="Change the point in the scenario to one that the attack measures.",
        )
    judgement = judge(measurement, threshold.limit)
    advice = adviser.about(outcome, measurement, judgement.status, needed=records_needed(measurement, threshold.limit))
    return _finding(outcome, measurement, judgement, limit=threshold.limit, advice=advice, key=threshold.metric)


def _finding(
    outcome: Outcome, measurement: Measurement, judgement: Judgement, *, limit: float | None, advice: str, key: str = ""
) -> Finding:
    interval = measurement.interval
    return Finding(
        id=f"{outcome.key}:{key or measurement.key}",
        outcome=outcome.key,
        status=judgement.status,
        metric=key or measurement.key,
        value=measurement.value,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        limit=limit,
        unit=measurement.unit,
        sentence=_said(outcome, measurement, judgement, limit=limit),
        advice=advice,
    )


def _said(outcome: Outcome, measurement: Measurement, judgement: Judgement, *, limit: float | None) -> str:
    if measurement.value is None or measurement.refused:
        text = f"{headline(outcome)}: {phrase(measurement).subject} is not stated"
        return f"{text}. {sentence(judgement.because)}" if judgement.because else f"{text}."
    first = sentence(f"{headline(outcome)}: {found(measurement, limit=limit)}")
    if measurement.n > 0:
        first = f"{first[:-1]}. Counted over {measurement.n:,} {measurement.n_of or 'trials'}."
    because = judgement.because
    if limit is not None:
        because = because.replace("the limit", f"the limit of {quantity(limit, measurement.unit)}", 1)
    return f"{first} {sentence(because)}"


def _prominence(measurement: Measurement) -> tuple[int, float]:
    known = measurement.metric in _HEADLINES
    return (_HEADLINES.index(measurement.metric) if known else len(_HEADLINES), min(measurement.at.values(), default=0))
