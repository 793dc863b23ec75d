"""Likelihood and severity of each feared event, one cell for each adversary and attack class.

Likelihood 1-4 follows from the success band and the effort of the attack; severity 1-4 is proposed from what people
declared. Both are inputs to a decision that people take. Where something in scope was not measured, the cell says
"at least".
"""

from collections.abc import Sequence
from typing import NamedTuple

from auditor.core.findings import Finding, RiskCell
from auditor.core.measurement import Outcome
from auditor.core.results import Organisation, Results, ScenarioSummary
from auditor.policy import rule
from auditor.policy.bands import Band
from auditor.policy.cap import verified_cap
from auditor.policy.negative import faulty_control
from auditor.policy.risk_reasons import (
    OWN_SCALE,
    UNCLEAN,
    UNTESTED,
    all_within,
    exposed,
    has_figures,
    open_ends,
    pieces_of,
    reach,
    unknown_asks,
    why,
)
from auditor.policy.roles import is_measured, is_test
from auditor.policy.words import sentence

EVENTS = {
    "membership": "Somebody learns that a person's record was in the training data",
    "attribute": "Somebody learns a detail of a person that was not known to them",
    "exfiltration": "Somebody takes stored personal data out through the serving system",
    "regurgitation": "The model repeats personal data from training",
    "model_inversion": "Somebody rebuilds what a group of people in the training data looks like",
    "reconstruction": "Somebody rebuilds a person's record from what training sends",
    "source": "Somebody learns which client holds a record of a person",
    "labels": "Somebody reads the label counts behind an update",
    "property": "Somebody learns a property of a client's records as a whole",
}
_ORDER = (Band.S0, Band.S1, Band.S2, Band.S3)


class Effort(NamedTuple):
    """What an attack cost its adversary, in points and as a level."""

    points: int
    level: str


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


def _told(event: str, planned: Sequence[Outcome]) -> str:
    """Where the only detail that was sought is the client that a record comes from, the event says so."""
    only_source = event == "attribute" and all(o.attack.endswith("/source") for o in planned if is_measured(o))
    return "source" if only_source and any(map(is_measured, planned)) else event


def _cell(
    results: Results, scenario: ScenarioSummary, event: str, planned: Sequence[Outcome], findings: Sequence[Finding]
) -> RiskCell:
    pieces = pieces_of(results, planned)
    settled = [piece for piece in pieces if piece.banded.band in _ORDER]
    top = max((piece.banded.band for piece in settled), key=_ORDER.index, default=None)
    reached = sorted((piece for piece in settled if piece.banded.band == top), key=reach, reverse=True)
    cap = verified_cap(results, event, planned, findings)
    reasons = [why(pieces, reached, planned)]
    ends = open_ends(planned, pieces)
    if cap is not None and (top is None or _ORDER.index(cap.band) <= _ORDER.index(top)):
        top, ends = cap.band, []
        reasons.append(cap.because)
    points = min((effort(scenario, piece.outcome) for piece in reached), default=effort(scenario, planned[0]))
    level = severity(results.organisation, event)
    likelihood = rule.LIKELIHOOD[top][points.level] if top else None
    reasons += ends
    if event == "membership" and faulty_control(results):
        reasons.append(UNCLEAN)
    if (likelihood is None or likelihood >= 3) and all_within(planned, findings):
        reasons.append(OWN_SCALE)
    return RiskCell(
        actor=scenario.name,
        event=EVENTS.get(_told(event, planned), event),
        attack_class=event,
        success_band=top or (Band.INCONCLUSIVE if pieces or has_figures(planned) else "not_tested"),
        effort=points.level,
        effort_points=points.points,
        likelihood=likelihood,
        at_least=likelihood != rule.HIGHEST and bool(ends or top is None),
        severity=level,
        zone=zone(likelihood, level, unknown=unknown_asks(pieces, planned)),
        reason=" ".join(sentence(part) for part in [*reasons, exposed(results, reached)] if part),
        evidence=tuple(dict.fromkeys(outcome.key for outcome in planned)),
    )
