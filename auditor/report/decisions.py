"""What was not tested and what to decide, as short items for the first page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auditor.core.findings import FindingStatus, Measure, RiskCell
from auditor.core.measurement import Outcome, OutcomeStatus
from auditor.core.privacy import LintSeverity
from auditor.core.results import Results
from auditor.policy.words import clauses
from auditor.report.describe import attack_title, by_weight, scenario_title, sentence_case
from auditor.report.formatting import number
from auditor.report.strings import Strings

SHOWN = 6
NAMED = 3
"""Attacks that are named where several have one reason."""

LONGEST = 420
ROOM = 740
USUAL, TAKEN = 1130, 0.4
"""Characters of answers that leave that room, and what each further one takes of it."""

OTHER_DATA = "; the target is "
"""Part of the reason that the attacks give where their modality is not the target's."""


@dataclass(frozen=True)
class Item:
    """A sentence of a list on the first page."""

    text: str
    weight: int = 0


def untested_of(results: Results, words: Strings) -> Iterator[Item]:
    """Classes of attack without a run, then attacks without a measurement, unless they are for other kinds of data."""
    for row in results.coverage:
        if row.status == "not_run":
            yield Item(words.plain("untested.class", title=row.title, reason=sentence_case(row.reason)))
    for status in (OutcomeStatus.FAILED, OutcomeStatus.NOT_RUN, OutcomeStatus.NOT_APPLICABLE):
        groups: dict[str, dict[str, None]] = {}
        for outcome in results.outcomes:
            if outcome.status == status and not for_other_data(outcome):
                groups.setdefault(next(iter(outcome.reasons), ""), {})[attack_title(outcome)] = None
        for reason, titles in groups.items():
            yield Item(_untested(list(titles), reason, words))


def _untested(titles: Sequence[str], reason: str, words: Strings) -> str:
    named = "; ".join(titles[:NAMED])
    if len(titles) > NAMED:
        named += f" {words.plain('untested.others', count=number(len(titles) - NAMED))}"
    return words.plain("untested.attack", attack=named, reason=sentence_case(clauses([reason])))


def for_other_data(outcome: Outcome) -> bool:
    """Whether the attack is for another kind of data, so that it could never have been run on this target."""
    return outcome.status == OutcomeStatus.NOT_APPLICABLE and any(OTHER_DATA in reason for reason in outcome.reasons)


def decisions_of(results: Results, words: Strings, *, above: int = 0) -> list[Item]:
    """What risks, findings and declarations ask of people, the most pressing first."""
    items = [*_risk_decisions(results, words), *_advice(results, words)]
    for lint in results.accounting.lints:
        if lint.severity == LintSeverity.HIGH:
            items.append(
                Item(words.plain("decide.lint", title=lint.title, remedy=sentence_case(lint.remedy)), weight=1)
            )
    items.sort(key=lambda item: item.weight)
    if not items:
        items.append(Item(words.plain("decide.record")))
    shown = fitting(items, above=above)
    if len(items) > len(shown):
        shown.append(Item(words.plain("decide.more", count=number(len(items) - len(shown)))))
    return [*shown, Item(words.plain("decide.repeat"))]


def _advice(results: Results, words: Strings) -> list[Item]:
    found = [f for f in by_weight(results.findings) if f.status == FindingStatus.EXCEEDS]
    advice = dict.fromkeys(f.advice for f in found if f.advice and not f.measures)
    items = [Item(words.plain("decide.advice", advice=sentence_case(text)), weight=1) for text in advice]
    changes = {measure.action: measure for f in found for measure in f.measures}
    parts = [
        words.plain(f"decide.{key}", changes=", ".join(_change(m, words) for m in chosen))
        for key, helps in (("measured", True), ("expected", None))
        if (chosen := [m for m in changes.values() if m.helps is helps])
    ]
    if changes:
        items.insert(
            0, Item(" ".join([words.plain("decide.lower"), *(parts or [words.plain("decide.nothing")])]), weight=1)
        )
    return items


def _change(measure: Measure, words: Strings) -> str:
    """The change with the value now, in words: ``off`` for ``false``."""
    return words.plain("decide.change", action=measure.action, now=words.word("now", measure.now))


def _risk_decisions(results: Results, words: Strings) -> Iterator[Item]:
    seen: set[tuple[str, str]] = set()
    for cell in sorted(results.risks, key=_risk_rank):
        key = (cell.event, "unknown" if cell.likelihood is None else "known")
        if key in seen:
            continue
        seen.add(key)
        item = _risk_decision(cell, results, words)
        if item:
            yield item


def _risk_rank(cell: RiskCell) -> tuple[int, int]:
    return -(cell.likelihood or 0), -cell.severity


def _risk_decision(cell: RiskCell, results: Results, words: Strings) -> Item | None:
    scale = f" {words.plain('decide.scale')}" if _none_exceeds(cell, results) else ""
    values = {
        "event": cell.event,
        "actor": scenario_title(results, cell.actor),
        "likelihood": likelihood_words(cell, words),
        "severity": level_words(cell.severity, words),
    }
    if cell.likelihood is None:
        tried = "undetermined" if cell.success_band == "not_tested" else "unsettled"
        return Item(words.plain(f"decide.{tried}", **values), weight=3)
    high = (cell.likelihood >= 3) + (cell.severity >= 3)
    if high == 2:
        return Item(words.plain("decide.both", **values) + scale, weight=0)
    if high == 1:
        return Item(words.plain("decide.one", **values) + scale, weight=2)
    return None


def _none_exceeds(cell: RiskCell, results: Results) -> bool:
    """Whether the figures behind a cell have limits and none of them exceeds its own."""
    behind = {
        key for key in (outcome.key for outcome in results.outcomes) if any(e.startswith(key) for e in cell.evidence)
    }
    statuses = {f.status for f in results.findings if f.outcome in behind and f.limit is not None}
    return bool(statuses) and FindingStatus.EXCEEDS not in statuses


def fitting(items: Sequence[Item], *, above: int = 0) -> list[Item]:
    """The first items, as many as the page has room for below so many characters of answers; always one."""
    room = ROOM - TAKEN * max(0, above - USUAL)
    shown: list[Item] = []
    for item in map(_short, items):
        room -= len(item.text) + 20
        if len(shown) == SHOWN or (room < 0 and shown):
            break
        shown.append(item)
    return shown


def _short(item: Item) -> Item:
    return Item(clipped(item.text, LONGEST), item.weight)


def clipped(text: str, longest: int) -> str:
    """At most ``longest`` characters, cut after a sentence or at a word; the sections hold the whole text."""
    if len(text) <= longest:
        return text
    whole = text.rfind(". ", longest // 2, longest)
    if whole > 0:
        return text[: whole + 1]
    cut = text[: longest - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[longest // 2 :] else cut) + "…"


def level_words(level: int, words: Strings) -> str:
    """The name of a level of the four-level scale."""
    return str(words.get("risk.levels")[min(max(level, 1), 4) - 1])


def likelihood_words(cell: RiskCell, words: Strings) -> str:
    """The likelihood in words, with ``at least`` where something was not tested."""
    if cell.likelihood is None:
        return words.plain("risk.unknown")
    level = level_words(cell.likelihood, words)
    return words.plain("risk.at_least", level=level) if cell.at_least else level
