"""Two runs side by side: what changed, and whether their figures may be compared at all.

GDPR Art. 35(11) asks for a review when the risk changes; the triggers listed here are what a run can see of that.
Figures are compared by whole intervals, and only where both runs followed one protocol.
"""

from collections.abc import Iterator
from enum import StrEnum

from auditor.build import KEY
from auditor.core.base import Frozen
from auditor.core.findings import Finding, FindingStatus
from auditor.core.privacy import AccountingReport
from auditor.core.results import Results
from auditor.policy.changed_settings import SettingChange, added_by_tool, setting_changes
from auditor.policy.unfinished import unfinished
from auditor.policy.words import listed, number, percent


class Direction(StrEnum):
    """How a figure moved, by whole intervals."""

    LOWER = "lower"
    HIGHER = "higher"
    UNCLEAR = "unclear"
    NEW = "new"
    GONE = "gone"
    INCOMPARABLE = "incomparable"


class FindingChange(Frozen):
    """One finding in both runs.

    Attributes:
        before, after: Statuses; None where the finding is not there.
        direction: ``unclear`` where the intervals overlap or one run has none.
        worse: The figure speaks of the target and clearly moved to more leakage.
    """

    id: str
    before: FindingStatus | None
    after: FindingStatus | None
    direction: Direction
    sentence: str
    worse: bool = False


class Comparison(Frozen):
    """What changed from one run to the next.

    Attributes:
        comparable: May figures be compared?
        before_sha256, after_sha256: Digests of the canonical results.
        reasons: Why not, with what an incomplete run lacks.
        unfinished: The runs that are not complete, each with the command that goes on with it.
        cautions: What to keep in mind where they may.
        triggers: What changed of model, data, settings, tool and law packs: reasons to assess again.
    """

    before: str
    after: str
    comparable: bool
    before_sha256: str = ""
    after_sha256: str = ""
    reasons: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    settings: tuple[SettingChange, ...] = ()
    findings: tuple[FindingChange, ...] = ()
    epsilon: str = ""

    @property
    def regressions(self) -> tuple[FindingChange, ...]:
        """Findings that clearly got worse; none where the runs cannot be compared."""
        return tuple(change for change in self.findings if change.worse)


def compare(before: Results, after: Results) -> Comparison:
    """Compare two judged runs."""
    reasons = tuple(_incomparable(before, after))
    settings = setting_changes(before.settings, after.settings)
    return Comparison(
        before=before.run.id,
        after=after.run.id,
        comparable=not reasons,
        before_sha256=before.sha256,
        after_sha256=after.sha256,
        reasons=reasons,
        unfinished=tuple(f"{r.run.id} ({r.run.command})" for r in (before, after) if not r.run.complete),
        cautions=tuple(_cautions(before, after)),
        triggers=tuple(_triggers(before, after, settings)),
        settings=settings,
        findings=tuple(_finding_changes(before, after, comparable=not reasons)),
        epsilon=_epsilon(before.accounting, after.accounting),
    )


def _incomparable(before: Results, after: Results) -> Iterator[str]:
    if before.run.compared_by != after.run.compared_by:
        yield "adversaries, attack parameters or limits differ (another protocol)"
    if not (before.run.compared_by and after.run.compared_by):
        yield "a run does not say which protocol it followed"
    for results in (before, after):
        if not results.run.complete:
            yield f"run {results.run.id} is incomplete: {unfinished(results)}"


def _cautions(before: Results, after: Results) -> Iterator[str]:
    if _data(before) != _data(after):
        yield "the sample data differ, so a part of any difference may come from the sample"
    if _tool(before) != _tool(after):
        yield f"the tool changed from version {_tool(before)} to {_tool(after)}"
    if added := added_by_tool(before.settings, after.settings):
        yield f"only one of the two versions of the tool has {listed(added)}; at its default, it counts as no change"
    if before.run.seed == after.run.seed and before.run.settings_sha256 == after.run.settings_sha256:
        yield "settings and seed are the same, so equal figures are a repetition and no second look"


def _triggers(before: Results, after: Results, settings: tuple[SettingChange, ...]) -> Iterator[str]:
    if before.target.model_sha256 != after.target.model_sha256:
        yield "the model's code"
    if before.target.weights_sha256 != after.target.weights_sha256:
        yield "the weights"
    if _data(before) != _data(after):
        yield "the data"
    if before.organisation.release_context != after.organisation.release_context:
        yield "the release context"
    blocks = {change.path.partition(".")[0] for change in settings}
    yield from (f"settings of {block}" for block in ("federation", "privacy") if block in blocks)
    attacks = [{outcome.attack for outcome in results.outcomes} for results in (before, after)]
    if attacks[0] != attacks[1]:
        yield "the attacks"
    if _tool(before) != _tool(after):
        yield "the tool"
    if _packs(before) != _packs(after):
        yield "the law packs"


def _finding_changes(before: Results, after: Results, *, comparable: bool) -> Iterator[FindingChange]:
    old = {finding.id: finding for finding in before.findings}
    new = {finding.id: finding for finding in after.findings}
    for name in dict.fromkeys([*old, *new]):
        high_is_bad = _high_is_bad(after, new.get(name))
        yield _change(name, old.get(name), new.get(name), comparable=comparable, high_is_bad=high_is_bad)


def _high_is_bad(results: Results, finding: Finding | None) -> bool:
    """Whether a larger figure means more leakage; so for epsilon."""
    for outcome in results.outcomes:
        if finding is not None and outcome.key == finding.outcome:
            return next((m.higher_is_worse for m in outcome.measurements if m.key == finding.metric), True)
    return True


_JUDGED = frozenset({FindingStatus.EXCEEDS, FindingStatus.WITHIN, FindingStatus.INCONCLUSIVE})
"""Statuses of findings that speak of the target; the others speak of the test."""


def _change(
    name: str, old: Finding | None, new: Finding | None, *, comparable: bool, high_is_bad: bool
) -> FindingChange:
    direction = _direction(old, new) if comparable or not (old and new) else Direction.INCOMPARABLE
    return FindingChange(
        id=name,
        before=old.status if old else None,
        after=new.status if new else None,
        direction=direction,
        sentence=_sentence(direction, old, new),
        worse=new is not None
        and new.status in _JUDGED
        and direction == (Direction.HIGHER if high_is_bad else Direction.LOWER),
    )


def _direction(old: Finding | None, new: Finding | None) -> Direction:
    if old is None or new is None:
        return Direction.NEW if old is None else Direction.GONE
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return Direction.UNCLEAR
    if new.high < old.low:
        return Direction.LOWER
    return Direction.HIGHER if new.low > old.high else Direction.UNCLEAR


def _sentence(direction: Direction, old: Finding | None, new: Finding | None) -> str:
    match direction:
        case Direction.NEW:
            return "This was not looked at before."
        case Direction.GONE:
            return "This was not looked at again."
        case Direction.INCOMPARABLE:
            return "Not comparable."
    figures = f"from {_interval(old)} to {_interval(new)}"
    if direction == Direction.UNCLEAR:
        return f"No clear change ({figures})."
    return f"The figure is clearly {direction.value} ({figures})."


def _interval(finding: Finding | None) -> str:
    if finding is None or finding.low is None or finding.high is None:
        return "no figure"
    write = percent if finding.unit == "fraction" else number
    return f"{write(finding.low, towards='down')} – {write(finding.high, towards='up')}"


def _epsilon(before: AccountingReport, after: AccountingReport) -> str:
    quoted = [number(r.epsilon.upper, towards="up") if r.epsilon else "not computed" for r in (before, after)]
    return (
        f"Epsilon was {quoted[0]} and is {quoted[1]}." if quoted[0] != quoted[1] else f"Epsilon is still {quoted[0]}."
    )


def _tool(results: Results) -> str:
    """Version and code; the version alone where a run does not say which code made it."""
    return results.run.environment.get(KEY, results.run.tool_version)


def _data(results: Results) -> frozenset[tuple[str, str]]:
    return frozenset((split.name, split.sha256) for split in results.target.splits)


def _packs(results: Results) -> frozenset[tuple[str, str]]:
    return frozenset((pack.get("name", ""), pack.get("as_of", "")) for pack in results.catalogues)
