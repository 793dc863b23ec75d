"""Why a cell of the risk matrix is as it is, in words, and what it asks where there is no level."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from auditor.core.findings import Finding, FindingStatus
from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.policy.bands import Band, Banded, band
from auditor.policy.roles import is_measured, powerless
from auditor.policy.words import count, listed

UNTESTED = "undetermined: test before use"
UNFIT = "undetermined: no attack here can test it, so people judge"
UNSETTLED = "not settled: settle it before use, or decide without knowing"
UNRULED = "not settled: people judge the figures"
_POWERLESS = "the attack finds nothing even where everything is laid open, so its low figure shows nothing"
OWN_SCALE = (
    "its figures are within the limits fixed for them; the level follows a fixed scale of its own, so that no choice "
    "of a limit can lower it"
)
UNCLEAN = "the negative control was not clean, so the success may come from the samples and not from the model"
_PER_PERSON = frozenset({"tpr_at_fpr", "recovered_share"})


class Piece(NamedTuple):
    """One figure of an attack with its band."""

    outcome: Outcome
    measurement: Measurement
    banded: Banded


def pieces_of(results: Results, planned: Sequence[Outcome]) -> list[Piece]:
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
            found.append(Piece(outcome, measurement, banded))
    return found


def reach(piece: Piece) -> float:
    """How far the interval of a figure reaches, on the scale of its band: the worst that it leaves possible."""
    measurement = piece.measurement
    if measurement.interval is None:
        return 0.0
    high = measurement.interval.high
    if measurement.metric == "tpr_at_fpr":
        return high / measurement.at.get("fpr", 1.0)
    guess = 0.0 if measurement.metric == "recovered_share" else min(measurement.floor or 0.0, 0.999)
    return (high - guess) / (1.0 - guess)


def all_within(planned: Sequence[Outcome], findings: Sequence[Finding]) -> bool:
    """Does every figure of the cell that has a limit keep it?"""
    keys = {outcome.key for outcome in planned}
    limited = {finding.status for finding in findings if finding.outcome in keys and finding.limit is not None}
    return limited - {FindingStatus.NOT_APPLICABLE} == {FindingStatus.WITHIN}


def unknown_asks(pieces: Sequence[Piece], planned: Sequence[Outcome]) -> str:
    """What a cell without a likelihood asks: a test, a better one, or a judgement."""
    if pieces:
        return UNSETTLED
    if all(outcome.status == OutcomeStatus.NOT_APPLICABLE for outcome in planned):
        return UNFIT
    return UNRULED if has_figures(planned) else UNTESTED


def why(pieces: Sequence[Piece], reached: Sequence[Piece], planned: Sequence[Outcome]) -> str:
    """What gave the level, or why nothing did; ``reached`` begins with the figure that reaches furthest."""
    if reached:
        return f"by {reached[0].outcome.attack}, {reached[0].banded.because}"
    if pieces:
        widest = max(pieces, key=reach)
        return f"by {widest.outcome.attack}, {widest.banded.because}"
    if all(outcome.status == OutcomeStatus.NOT_APPLICABLE for outcome in planned):
        return "no attack of this kind applies to this target; that is not a sign of resistance"
    if has_figures(planned):
        return "figures were measured, but no rule turns figures of this kind into a level; people judge them"
    return "no attack of this kind gave a figure"


def has_figures(planned: Sequence[Outcome]) -> bool:
    """Did any attack end with a figure, banded or not?"""
    return any(is_measured(outcome) and outcome.measurements for outcome in planned)


def open_ends(planned: Sequence[Outcome], pieces: Sequence[Piece]) -> list[str]:
    """Why the true likelihood may be higher than shown."""
    wide = dict.fromkeys(p.outcome.attack for p in pieces if p.banded.band == Band.INCONCLUSIVE)
    ends = [f"the sample is too small for a full answer: {listed(wide)}"] if wide else []
    ends += [f"the time budget cut {o.attack} short" for o in planned if o.cut_short]
    for outcome in planned:
        if outcome.status in {OutcomeStatus.FAILED, OutcomeStatus.NOT_RUN}:
            ends.append(f"the attack {outcome.attack} gave no figure ({outcome.status.replace('_', ' ')})")
    return list(dict.fromkeys(ends))


def exposed(results: Results, reached: Sequence[Piece]) -> str:
    """The scale beside the level, never folded into it: declared people times the measured share.

    The share is one of records, so it counts people only where the sample need not hold several records of each.
    """
    people = results.organisation.subjects
    if not people:
        return ""
    said = f"declared: {count(people, 'person', 'people')} in the training data"
    measurement = next((p.measurement for p in reached if p.measurement.metric in _PER_PERSON), None)
    if measurement is None or measurement.interval is None:
        return said
    each = results.target.shape.members / people
    if each > 1:
        return (
            f"{said}, each with about {max(2, round(each)):,} records of the sample, so the measured rate of records "
            "cannot be turned into people"
        )
    low, high = (min(1.0, max(0.0, end)) * people for end in (measurement.interval.low, measurement.interval.high))
    return (
        f"{said}; at the measured rate {math.floor(low):,} to {math.ceil(high):,} of them, if each has one record and "
        "all are like the sample"
    )
