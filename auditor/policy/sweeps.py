"""Sweeps read as curves: at which values the whole interval stays within the limit. Nothing here enters a verdict."""

from collections.abc import Sequence
from typing import NamedTuple

from auditor.core.findings import FindingStatus, Threshold
from auditor.core.measurement import Measurement, Outcome
from auditor.core.results import Results, Sweep
from auditor.core.shape import ModelState
from auditor.policy import keys
from auditor.policy.judgement import judge
from auditor.policy.phrases import with_interval
from auditor.policy.roles import is_measured, powerless
from auditor.policy.statements import counted, most_prominent
from auditor.policy.words import listed, quantity


class CurvePoint(NamedTuple):
    """What an attack reached at one value of the setting.

    Attributes:
        value: None for the audited settings where they have no such value.
        measurement: None where there is no figure; ``why`` says so.
        limit: In the unit of the figure; counted from the guess where the limit is.
        status: As for a finding; without a limit inconclusive.
    """

    value: float | None
    measurement: Measurement | None
    limit: float | None
    status: FindingStatus
    why: str = ""


class Curve(NamedTuple):
    """One attack over the values of one setting.

    Attributes:
        metric: The measure that has a limit; the most telling one where none has.
        declared: The value of the audit itself; None where it has none.
        audited: What the attack reached on the audited settings; without a value where they have none.
    """

    sweep: Sweep
    attack: str
    title: str
    state: ModelState | None
    metric: str
    declared: float | None
    points: tuple[CurvePoint, ...]
    audited: CurvePoint | None

    @property
    def within(self) -> tuple[CurvePoint, ...]:
        """Where the whole interval stays within the limit."""
        return tuple(point for point in self.points if point.status == FindingStatus.WITHIN)


def curves(results: Results) -> tuple[Curve, ...]:
    """Every curve of a run that has at least two figures."""
    weak = powerless(results.outcomes)
    found = []
    for sweep in results.sweeps:
        pairs = dict.fromkeys((o.attack, o.state) for point in sweep.points for o in point.outcomes if is_measured(o))
        for attack, state in pairs:
            curve = _curve(results, sweep, attack, state, weak=attack in weak)
            if sum(point.measurement is not None for point in curve.points) >= 2:
                found.append(curve)
    return tuple(found)


def _curve(results: Results, sweep: Sweep, attack: str, state: ModelState | None, *, weak: bool) -> Curve:
    mine = [
        (p.value, next((o for o in p.outcomes if (o.attack, o.state) == (attack, state)), None)) for p in sweep.points
    ]
    known = [outcome for _, outcome in mine if outcome is not None and is_measured(outcome)]
    threshold = _threshold(sweep, known[0])
    metric = threshold.metric if threshold else most_prominent(known[0]).key
    points = tuple(_point(value, outcome, threshold, metric, weak=weak) for value, outcome in mine)
    audited = next((point for point in points if point.value == sweep.declared), None)
    if audited is None:
        same = (sweep.scenario, attack, state)
        own = next((o for o in results.outcomes if (o.scenario, o.attack, o.state) == same and is_measured(o)), None)
        audited = _point(None, own, threshold, metric, weak=weak) if own else None
    if audited is not None and audited.measurement is None:
        audited = None
    return Curve(sweep, attack, known[0].title or attack, state, metric, sweep.declared, points, audited)


def _threshold(sweep: Sweep, outcome: Outcome) -> Threshold | None:
    """The strictest limit whose figure may be stated; one that may not, where there is no other."""
    limits = [limit for limit in sweep.thresholds if keys.parsed(limit.metric) in map(keys.of, outcome.measurements)]
    stated = {keys.of(measurement) for measurement in outcome.measurements if measurement.value is not None}
    return next((limit for limit in limits if keys.parsed(limit.metric) in stated), limits[0] if limits else None)


def _point(
    value: float | None, outcome: Outcome | None, threshold: Threshold | None, metric: str, *, weak: bool
) -> CurvePoint:
    if outcome is None or not is_measured(outcome):
        why = "; ".join(outcome.reasons) if outcome else "not played"
        return CurvePoint(value, None, None, FindingStatus.NOT_RUN, why)
    found = next((m for m in outcome.measurements if keys.of(m) == keys.parsed(metric)), None)
    if found is None or found.value is None:
        return CurvePoint(value, None, None, FindingStatus.INCONCLUSIVE, found.refused if found else "not measured")
    if threshold is None:
        return CurvePoint(value, found, None, FindingStatus.INCONCLUSIVE)
    limit = threshold.against(found.floor)
    status = judge(found, limit).status
    if status == FindingStatus.WITHIN and (weak or outcome.cut_short or outcome.experimental or outcome.doubt):
        status = FindingStatus.INCONCLUSIVE
    return CurvePoint(value, found, limit, status)


def effect(curve: Curve) -> str:
    """What the sweep measured of changing its setting, e.g. ``within the limit at 4: 61 % (…), against 94 % now``."""
    figures = [point for point in curve.points if point.measurement is not None]
    if all(point.limit is None for point in figures):
        return f"measured at {_values(figures)}, without a limit to judge by"
    within = curve.within
    if not within:
        each = listed(_at(point) for point in figures)
        return (
            f"measured at {_values(figures)}: at none of these values is the whole interval within the limit ({each})"
        )
    best = within[0]
    assert best.measurement is not None
    now = curve.audited.measurement if curve.audited else None
    against = "" if now is None or now is best.measurement else f", against {with_interval(now)} now"
    guess = best.measurement.floor
    floor = "" if guess is None else f"; a guess without the attack reaches {quantity(guess, best.measurement.unit)}"
    return (
        f"measured at {_values(figures)}: within the limit at {_values(within)} "
        f"(at {_values([best])} {with_interval(best.measurement)}, over {counted(best.measurement)}{against}{floor})"
        f"{_otherwise(figures)}"
    )


def _at(point: CurvePoint) -> str:
    assert point.measurement is not None
    assert point.measurement.value is not None
    assert point.value is not None
    return f"{quantity(point.measurement.value, point.measurement.unit)} at {point.value:g}"


def _otherwise(figures: Sequence[CurvePoint]) -> str:
    """The values that were tried and do not stay within the limit."""
    words = {FindingStatus.INCONCLUSIVE: "inconclusive", FindingStatus.EXCEEDS: "above it"}
    alike = {said: [p for p in figures if p.status == status] for status, said in words.items()}
    return "".join(f"; {said} at {_values(points)}" for said, points in alike.items() if points)


def _values(points: Sequence[CurvePoint]) -> str:
    return listed(f"{point.value:g}" for point in points if point.value is not None)
