"""A judged measurement as a finding, with its sentence."""

from auditor.core.findings import Finding
from auditor.core.measurement import Measurement, Outcome
from auditor.policy.judgement import Judgement, why_unusable
from auditor.policy.phrases import found, headline, phrase
from auditor.policy.words import quantity, sentence

_HEADLINES = ("tpr_at_fpr", "recovered_share", "label_accuracy", "answer_accuracy")


def measured_finding(
    outcome: Outcome,
    measurement: Measurement,
    judgement: Judgement,
    *,
    limit: float | None,
    advice: str = "",
    key: str = "",
    name: str = "",
) -> Finding:
    """A finding about one measurement, with its sentence."""
    interval = measurement.interval
    return Finding(
        id=f"{name or outcome.key}:{key or measurement.key}",
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
        text = f"{headline(outcome)}: {phrase(measurement).subject} is not stated. {sentence(judgement.because)}"
        return text.strip()
    first = sentence(f"{headline(outcome)}: {found(measurement, limit=limit)}")
    if measurement.n > 0:
        first = f"{first[:-1]}. Counted over {counted(measurement)}.{one_update(measurement)}"
    because = judgement.because
    if limit is not None:
        because = because.replace("the limit", f"the limit of {quantity(limit, measurement.unit)}", 1)
    return f"{first} {sentence(because)}"


def one_update(measurement: Measurement) -> str:
    """What an interval leaves out where all trials come from one update."""
    if not measurement.n_of.endswith(("in 1 update", "in 1 updates")):
        return ""
    return " All come from one update and count as independent, so the interval says nothing about other updates."


def counted(measurement: Measurement) -> str:
    """How many trials, and of what, e.g. ``160 records in 8 updates``."""
    return f"{measurement.n:,} {measurement.n_of or 'trials'}".replace("in 1 updates", "in 1 update")


def instead(outcome: Outcome) -> str:
    """Where every limited rate was refused: what the sample does allow, at the rarest point that may be stated."""
    refused = {m.metric for m in outcome.measurements if m.refused}
    stated = [m for m in outcome.measurements if m.metric in refused and not why_unusable(m)]
    return f" What this sample allows: {found(min(stated, key=_prominence))}." if stated else ""


def most_prominent(outcome: Outcome) -> Measurement:
    """The measurement that stands for the outcome: a headline metric at its lowest operating point."""
    return min(outcome.measurements, key=_prominence)


def _prominence(measurement: Measurement) -> tuple[int, float]:
    known = measurement.metric in _HEADLINES
    return (_HEADLINES.index(measurement.metric) if known else len(_HEADLINES), min(measurement.at.values(), default=0))
