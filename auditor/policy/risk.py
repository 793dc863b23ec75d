"""Likelihood and severity of each feared event, one cell for each adversary and attack class.

Likelihood 1-4 follows from the success band and the effort of the attack; severity 1-4 is proposed from what people
declared. Both are inputs to a decision that people take. Where something in scope was not measured, the cell says
"at least".
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from auditor.core.findings import Finding, FindingStatus, RiskCell
from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.core.results import Organisation, Results, ScenarioSummary
from auditor.policy import rule
from auditor.policy.bands import Band, Banded, band
from auditor.policy.cap import verified_cap
from auditor.policy.negative import faulty_control
from auditor.policy.roles import is_measured, is_test, powerless
from auditor.policy.words import count, listed, sentence

EVENTS = {
    "membership": "Somebody learns that a person's record was in the training data",
    "attribute": "Somebody learns a detail of a person that was not known to them",
    "exfiltration": "Somebody takes stored personal data out through the serving system",
    "regurgitation": "The model repeats personal data from training",
    "model_inversion": "Somebody rebuilds what a group of people in the training data looks like",
    "reconstruction": "Somebody rebuilds a person's record from what training sends",
    "labels": "Somebody reads the labels behind an update",
    "property": "Somebody learns a property of a client's records as a whole",
}
_PER_PERSON = frozenset({"tpr_at_fpr", "recovered_share"})
_ORDER = (Band.S0, Band.S1, Band.S2, Band.S3)
UNTESTED = "undetermined: test before use"
UNFIT = "undetermined: no attack here can test it, so people judge"
UNSETTLED = "not settled: settle it before use, or decide without knowing"
UNRULED = "not settled: people judge the figures"
_POWERLESS = "the attack finds nothing even where everything is laid open, so its low figure shows nothing"
_OWN_SCALE = (
    "its figures are within the limits fixed for them; the level follows a fixed scale of its own, so that no choice "
    "of a limit can lower it"
)
_UNCLEAN = "the negative control was not clean, so the success may come from the samples and not from the model"


class Effort(NamedTuple):
    """What an attack cost its adversary, in points and as a level."""

    points: int
    level: str


class _Piece(NamedTuple):
    outcome: Outcome
    measurement: Measurement
    banded: Banded


def risks(results: Results, findings: Sequence[Finding]) -> tuple[RiskCell, ...]:
    """The cells of all scenarios, in the order of scenarios and attack classes."""
    cells = []
    for scenario in results.scenarios:
        planned = [o for o in results.outcomes if o.scenario == scenario.name and is_test(o)]
        for event in dict.fromkeys(_event(outcome) for outcome in planned):
            mine = [outcome for outcome in planned if _event(outcome) == event]
            cells.append(_cell(results, scenario, event, mine, findings))
    return tuple(cells)


def effort(scenario: ScenarioSummary, outcome: Outcome) -> Effort:
    """Access and knowledge of the adversary plus the computing that the attack really used.

    Motivation and contracts earn nothing (EDPB Guidelines 02/2026, draft, par. 31-34), and computing at most two
    points of eight (par. 84, 92).
    """
    hours = outcome.effort.get("cpu_seconds", 0.0) / 3600
    points = scenario.access + scenario.knowledge + sum(hours >= limit for limit in rule.COMPUTE_CPU_HOURS)
    level = "low" if points <= rule.EFFORT_LOW else "mid" if points <= rule.EFFORT_MID else "high"
    return Effort(points, level)


def severity(organisation: Organisation, event: str) -> int:
    """Severity 1-4, proposed from declarations alone.

    An attack that shows membership only counts one less where a person declared that being in the data says
    nothing. An undeclared matter lowers nothing.
    """
    level = rule.SEVERITY.get(organisation.data_category, rule.HIGHEST)
    if event == "membership" and organisation.membership_is_sensitive is False:
        level -= 1
    if organisation.vulnerable_people:
        level += 1
    return max(1, min(rule.HIGHEST, level))


def zone(likelihood: int | None, level: int, *, unknown: str = UNTESTED) -> str:
    """What the cell asks of people; ``unknown`` where there is no likelihood."""
    if likelihood is None:
        return unknown
    if likelihood >= 3 and level >= 3:
        return "decide before use; consider Art. 36 GDPR"
    return "treat or justify" if likelihood >= 3 or level >= 3 else "record"


def _event(outcome: Outcome) -> str:
    reads_labels = any(measurement.metric == "label_accuracy" for measurement in outcome.measurements)
    return "labels" if reads_labels or outcome.attack.endswith("/labels") else outcome.attack_class


def _cell(
    results: Results, scenario: ScenarioSummary, event: str, planned: Sequence[Outcome], findings: Sequence[Finding]
) -> RiskCell:
    pieces = _pieces(results, planned)
    settled = [piece for piece in pieces if piece.banded.band in _ORDER]
    top = max((piece.banded.band for piece in settled), key=_ORDER.index, default=None)
    reached = [piece for piece in settled if piece.banded.band == top]
    cap = verified_cap(results, event, planned, findings)
    reasons = [_why(pieces, reached, planned)]
    open_ends = _open_ends(planned, pieces)
    if cap is not None and (top is None or _ORDER.index(cap.band) <= _ORDER.index(top)):
        top, open_ends = cap.band, []
        reasons.append(cap.because)
    points = min((effort(scenario, piece.outcome) for piece in reached), default=effort(scenario, planned[0]))
    level = severity(results.organisation, event)
    likelihood = rule.LIKELIHOOD[top][points.level] if top else None
    reasons += open_ends
    if event == "membership" and faulty_control(results):
        reasons.append(_UNCLEAN)
    if (likelihood is None or likelihood >= 3) and _all_within(planned, findings):
        reasons.append(_OWN_SCALE)
    return RiskCell(
        actor=scenario.name,
        event=EVENTS.get(event, event),
        attack_class=event,
        success_band=top or (Band.INCONCLUSIVE if pieces or _has_figures(planned) else "not_tested"),
        effort=points.level,
        effort_points=points.points,
        likelihood=likelihood,
        at_least=likelihood != rule.HIGHEST and bool(open_ends or top is None),
        severity=level,
        zone=zone(likelihood, level, unknown=_unknown(pieces, planned)),
        reason=" ".join(sentence(part) for part in [*reasons, _exposed(results, reached)] if part),
        evidence=tuple(dict.fromkeys(outcome.key for outcome in planned)),
    )


def _pieces(results: Results, planned: Sequence[Outcome]) -> list[_Piece]:
    """Every figure with its band; a low figure of an attack without power has none.

    An experimental attack counts by high figures alone.
    """
    weak = powerless(results.outcomes)
    found = []
    for outcome in planned:
        for measurement in outcome.measurements if is_measured(outcome) else ():
            banded = band(measurement)
            if banded is None:
                continue
            if outcome.attack in weak and banded.band in {Band.S0, Band.S1}:
                banded = Banded(Band.INCONCLUSIVE, _POWERLESS)
            if outcome.experimental and banded.band not in {Band.S2, Band.S3}:
                continue
            found.append(_Piece(outcome, measurement, banded))
    return found


def _all_within(planned: Sequence[Outcome], findings: Sequence[Finding]) -> bool:
    """Does every figure of the cell that has a limit keep it?"""
    keys = {outcome.key for outcome in planned}
    limited = {finding.status for finding in findings if finding.outcome in keys and finding.limit is not None}
    return limited - {FindingStatus.NOT_APPLICABLE} == {FindingStatus.WITHIN}


def _unknown(pieces: Sequence[_Piece], planned: Sequence[Outcome]) -> str:
    """What a cell without a likelihood asks: a test, a better one, or a judgement."""
    if pieces:
        return UNSETTLED
    if all(outcome.status == OutcomeStatus.NOT_APPLICABLE for outcome in planned):
        return UNFIT
    return UNRULED if _has_figures(planned) else UNTESTED


def _why(pieces: Sequence[_Piece], reached: Sequence[_Piece], planned: Sequence[Outcome]) -> str:
    if reached:
        return f"by {reached[0].outcome.attack}, {reached[0].banded.because}"
    if pieces:
        return f"by {pieces[0].outcome.attack}, {pieces[0].banded.because}"
    if all(outcome.status == OutcomeStatus.NOT_APPLICABLE for outcome in planned):
        return "no attack of this kind applies to this target; that is not a sign of resistance"
    if _has_figures(planned):
        return "figures were measured, but no rule turns figures of this kind into a level; people judge them"
    return "no attack of this kind gave a figure"


def _has_figures(planned: Sequence[Outcome]) -> bool:
    return any(is_measured(outcome) and outcome.measurements for outcome in planned)


def _open_ends(planned: Sequence[Outcome], pieces: Sequence[_Piece]) -> list[str]:
    """Why the true likelihood may be higher than shown."""
    wide = dict.fromkeys(p.outcome.attack for p in pieces if p.banded.band == Band.INCONCLUSIVE)
    ends = [f"the sample is too small for a full answer: {listed(wide)}"] if wide else []
    ends += [f"the time budget cut {o.attack} short" for o in planned if o.cut_short]
    for outcome in planned:
        if outcome.status in {OutcomeStatus.FAILED, OutcomeStatus.NOT_RUN}:
            ends.append(f"the attack {outcome.attack} gave no figure ({outcome.status.replace('_', ' ')})")
    return list(dict.fromkeys(ends))


def _exposed(results: Results, reached: Sequence[_Piece]) -> str:
    """The scale beside the level, never folded into it: declared people times the measured share."""
    people = results.organisation.subjects
    if not people:
        return ""
    said = f"declared: {count(people, 'person', 'people')} in the training data"
    measurement = next((p.measurement for p in reached if p.measurement.metric in _PER_PERSON), None)
    if measurement is None or measurement.interval is None:
        return said
    low, high = (min(1.0, max(0.0, end)) * people for end in (measurement.interval.low, measurement.interval.high))
    return (
        f"{said}; at the measured rate {math.floor(low):,} to {math.ceil(high):,} of them, if all are like the sample"
    )
