"""Data that the templates of the sections need beyond the results themselves."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from auditor.controls.dates import written
from auditor.controls.rules import LEFT_TO_PEOPLE, MATERIAL
from auditor.controls.status import expiry
from auditor.core.findings import Claim, ControlRow, ControlStatus, CoverageRow, Finding, FindingStatus, Measure
from auditor.core.grants import Grant
from auditor.core.measurement import OutcomeStatus
from auditor.core.privacy import AccountingReport, AttackCaps, CapPoint, EpsilonAudit
from auditor.core.results import Results, ScenarioSummary
from auditor.report.describe import by_weight, choice_words, first_sentence, key_name, metric_key, sentence_case
from auditor.report.drawings import pack_title
from auditor.report.formatting import Rounding, number, quantity
from auditor.report.strings import Strings

ASKING = (ControlStatus.CONTRADICTS, ControlStatus.INCONCLUSIVE, ControlStatus.STALE)
"""Statuses that ask people for something; these provisions stand in the main part."""

SPOKEN = (ControlStatus.SUPPORTS, ControlStatus.HUMAN_DECLARED)


@dataclass(frozen=True)
class SettingRow:
    """One setting as read; ``value`` is text for the page, ``declared`` is true where a person wrote words."""

    path: str
    value: str
    declared: bool
    place: str


@dataclass(frozen=True)
class ReasonGroup:
    """Provisions of one status for one reason."""

    status: ControlStatus
    reason: str
    rows: tuple[ControlRow, ...]


@dataclass(frozen=True)
class PackBlock:
    """One law pack: what asks for attention, what evidence supports, what was not tested, what no attack can tell."""

    name: str
    title: str
    as_of: str
    scope: str
    asking: tuple[ReasonGroup, ...]
    spoken: tuple[ReasonGroup, ...]
    untested: tuple[ReasonGroup, ...]
    outside: tuple[ReasonGroup, ...]


@dataclass(frozen=True)
class MeasureToTake:
    """A measure with the findings that ask for it.

    Attributes:
        setting: What to change, with its value now and its place; empty where the advice says all.
        effects: What sweeps measured of it; empty where nobody measured it.
    """

    advice: str
    because: tuple[str, ...]
    setting: str = ""
    effects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measures:
    """Measures against what was found, and steps that would settle what is open."""

    against: tuple[MeasureToTake, ...]
    open: tuple[MeasureToTake, ...]


def scenario_names(results: Results) -> list[str]:
    """Adversaries that were described or attacked, in order."""
    return list(dict.fromkeys([s.name for s in results.scenarios] + [o.scenario for o in results.outcomes]))


def settings_rows(results: Results, *, only: Sequence[str] = (), skip: Sequence[str] = ()) -> list[SettingRow]:
    """The settings of the groups ``only`` (all where none is given), one row per value, without the empty ones."""
    chosen = {k: v for k, v in results.settings.items() if (not only or k in only) and k not in skip}
    return [
        SettingRow(path, _value(value), isinstance(value, str) and not _is_choice(value), _place(results, path))
        for path, value in _flat(chosen)
        if value not in (None, [], {}, "")
    ]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}.{index}")
    else:
        yield path, value


def _value(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return number(value)
        case str() if _is_choice(value):
            return choice_words(value)
        case list() | tuple():
            return ", ".join(_value(item) for item in value)
        case dict():
            return ", ".join(f"{key}: {_value(item)}" for key, item in value.items())
    return str(value)


def _is_choice(value: str) -> bool:
    """A word of the settings' own vocabulary, such as ``dp_sgd``: nothing a person could have phrased."""
    return value.isascii() and value.islower() and value.replace("_", "").isalnum() and len(value) <= 24


def _place(results: Results, path: str) -> str:
    return results.positions.get(path, "")


def pack_blocks(results: Results) -> list[PackBlock]:
    """The law packs, their provisions sorted by what asks for attention and gathered by their reason."""
    blocks = []
    for name in dict.fromkeys(row.catalogue for row in results.controls):
        rows = [row for row in results.controls if row.catalogue == name]
        blocks.append(
            PackBlock(
                name,
                pack_title(results, name),
                rows[0].as_of,
                next((pack.get("scope", "") for pack in results.catalogues if pack.get("name") == name), ""),
                asking=_by_reason([row for status in ASKING for row in rows if row.status == status]),
                spoken=_by_reason([row for status in SPOKEN for row in rows if row.status == status]),
                untested=_by_reason([row for row in rows if row.status == ControlStatus.NOT_TESTED]),
                outside=_by_reason([row for row in rows if row.status == ControlStatus.OUTSIDE_REACH]),
            )
        )
    return blocks


def provision_name(row: ControlRow) -> str:
    """Reference and title; what the title repeats of the reference is said once."""
    document, comma, place = row.source_ref.partition(", ")
    reference = place if comma and row.catalogue.rpartition("_")[2] in document else row.source_ref
    head, colon, rest = row.title.partition(":")
    said = set(_WORD.findall(row.source_ref.lower()))
    if colon and set(_WORD.findall(head.lower())) <= said | _FILLING:
        return f"{reference}: {rest.strip()}"
    whole = set(_WORD.findall(row.title.lower()))
    return row.title if said <= whole else f"{reference}: {row.title}"


_WORD = re.compile(r"[\w./-]*\w")
_FILLING = frozenset({"and", "consultation", "with", "sheet"})


@dataclass(frozen=True)
class AdversaryRow:
    """One adversary in short sentences; empty where there is nothing to say."""

    name: str
    title: str
    description: str
    who: str
    sees: str
    withheld: str
    limits: str
    access: int
    knowledge: int


def adversary_rows(results: Results, words: Strings) -> list[AdversaryRow]:
    """Who attacks, with what, and against which limits."""
    return [_adversary_row(scenario, words) for scenario in results.scenarios]


def _adversary_row(scenario: ScenarioSummary, words: Strings) -> AdversaryRow:
    actors, behaviours = words.get("adversaries.actors"), words.get("adversaries.behaviours")
    who = f"{actors.get(scenario.actor, scenario.actor)}, {behaviours.get(scenario.behaviour, scenario.behaviour)}"
    limits = [
        words.plain(
            "adversaries.limit_beyond" if limit.beyond_guess else "adversaries.limit",
            metric=key_name(limit.metric, words),
            limit=quantity(limit.limit, "fraction"),
        )
        for limit in scenario.thresholds
    ]
    return AdversaryRow(
        scenario.name,
        scenario.title,
        scenario.description,
        sentence_case(who),
        sentence_case("; ".join(grant_words(grant) for grant in scenario.grants) or words.plain("report.none")),
        sentence_case("; ".join(withheld_words(text) for text in scenario.withheld)),
        "; ".join(limits),
        scenario.access,
        scenario.knowledge,
    )


@dataclass(frozen=True)
class LimitReasons:
    """Reasons of limits that begin alike: the beginning, and for each rest the measures that it speaks of."""

    lead: str
    rows: tuple[tuple[str, str], ...]


def shared_reasons(results: Results, words: Strings) -> list[LimitReasons]:
    """Why each limit was set: each reason once, with the measures that share it; what many begin with, once."""
    reasons: dict[str, list[str]] = {}
    for limit in (limit for scenario in results.scenarios for limit in scenario.thresholds):
        reasons.setdefault(" ".join(limit.reason.split()), []).append(key_name(limit.metric, words))
    leads: dict[str, list[tuple[str, str]]] = {}
    counts = Counter(reason.partition(": ")[0] for reason in reasons if ": " in reason)
    for reason, names in reasons.items():
        head, _, rest = reason.partition(": ")
        lead, text = (head, rest) if counts[head] > 1 else ("", reason)
        leads.setdefault(lead, []).append(("; ".join(dict.fromkeys(names)), sentence_case(text)))
    return [LimitReasons(lead, tuple(rows)) for lead, rows in leads.items()]


def _by_reason(rows: Sequence[ControlRow]) -> tuple[ReasonGroup, ...]:
    groups: dict[tuple[ControlStatus, str], list[ControlRow]] = {}
    for row in rows:
        groups.setdefault((row.status, _own_reason(row)), []).append(row)
    return tuple(ReasonGroup(status, reason, tuple(group)) for (status, reason), group in groups.items())


def _own_reason(row: ControlRow) -> str:
    """The reason without what stands beside it anyway: when the provision applies, and what its heading says."""
    first, _, rest = row.reason.partition(". ")
    dated = row.applicable_now is False and row.applies_from and all(date in first for date in row.applies_from)
    reason = rest if dated and rest else row.reason
    for dates in ("; ".join(row.applies_from),) if row.applicable_now is None and row.applies_from else ():
        reason = reason.replace(f": {dates}. ", ". ", 1)
    if row.status == ControlStatus.OUTSIDE_REACH and LEFT_TO_PEOPLE in reason:
        return ""
    return _HEADING.sub("", reason).replace(MATERIAL, "Material: ")


_HEADING = re.compile(r"^(Supports, for the attacks run, on this sample, until [^.]*\. |Not tested in this run: )")
"""What the reason of every provision of a status begins with; the heading of the status says it once."""


def holds_until(results: Results) -> str:
    """The last day of the evidence as the tool proposes it; empty where the end of the run is not known."""
    day = expiry(results)
    return written(day) if day else ""


@dataclass(frozen=True)
class Sources:
    """How the wording of a pack's entries was checked.

    Attributes:
        read: Entries that were read in a public copy of the official text.
        secondary: Entries that rest on other sources.
        memory: Entries of which the wording, or a part of it, was recalled and not read again.
    """

    total: int
    read: int
    secondary: int
    memory: int


def sources_of(results: Results, pack: str = "") -> Sources:
    """Counts of how entries were checked, of one pack or of all."""
    marks = Counter(basis_mark(row) for row in results.controls if pack in ("", row.catalogue))
    return Sources(sum(marks.values()), marks[""], marks[SECONDARY], marks[RECALLED])


def basis_mark(row: ControlRow) -> str:
    """The mark of a provision of which the official text was not read; empty where it was."""
    if "memory" in row.basis:
        return RECALLED
    return "" if row.basis.startswith("primary-copy") else SECONDARY


SECONDARY = "†"
RECALLED = "‡"


def coverage_reason(row: CoverageRow, results: Results, words: Strings) -> str:
    """The reason without its list of attacks that gave no figure; the annex has each with its own."""
    planned = {outcome.attack for outcome in results.outcomes}
    kept: list[str] = []
    for part in row.reason.split("; "):
        if any(part.startswith(f"{attack} (") for attack in planned):
            break
        kept.append(part)
    named = {o.attack for o in results.outcomes if f"{o.attack} ({o.scenario})" in row.reason}
    if named:
        kept.append(words.plain("coverage.others", count=number(len(named))))
    return sentence_case("; ".join(kept))


def judged_claims(results: Results) -> list[Claim]:
    """Claims about leakage and declarations; what weighs most first."""
    rows = [claim for claim in results.claims if not claim.id.startswith("record:")]
    return sorted(rows, key=lambda claim: {False: 0, None: 1, True: 2}[claim.supports])


def record_claims(results: Results) -> list[Claim]:
    """Claims that something was put on record."""
    return [claim for claim in results.claims if claim.id.startswith("record:")]


def largest(results: Results, count: int = 3) -> list[Finding]:
    """The findings that exceed their limit by most."""
    return [f for f in by_weight(results.findings) if f.status == FindingStatus.EXCEEDS][:count]


def measures_to_take(results: Results, words: Strings) -> Measures:
    """What the findings ask for, each measure once: against leakage, and to settle what is open."""
    changes: dict[str, list[tuple[Finding, Measure]]] = {}
    against: dict[str, list[str]] = {}
    to_settle: dict[str, list[str]] = {}
    for finding in by_weight(results.findings):
        for measure in finding.measures:
            changes.setdefault(measure.action, []).append((finding, measure))
        if finding.advice and not finding.measures:
            group = against if finding.status == FindingStatus.EXCEEDS else to_settle
            group.setdefault(finding.advice, []).append(_named(finding))
    for lint in results.accounting.lints:
        against.setdefault(lint.remedy, []).append(lint.title)
    return Measures(
        (*(_change(pairs, words) for pairs in changes.values()), *_listed(against)), _listed(_largest(to_settle))
    )


def _largest(groups: dict[str, list[str]]) -> dict[str, list[str]]:
    """Steps that differ in numbers alone, as one step with the largest: it settles the others too."""
    alike: dict[str, list[str]] = {}
    for advice in groups:
        alike.setdefault(_NUMBERS.sub("#", advice), []).append(advice)
    return {max(some, key=_size): [why for advice in some for why in groups[advice]] for some in alike.values()}


_NUMBERS = re.compile(r"\d[\d,.]*( %| times)?")


def _size(advice: str) -> tuple[bool, float]:
    """``About 3 times as many`` is more than ``About 40 % more``."""
    found = _NUMBERS.search(advice)
    number_of = float(found[0].split()[0].replace(",", "").rstrip(".")) if found else 0.0
    return "times" in (found[0] if found else ""), number_of


def _change(pairs: Sequence[tuple[Finding, Measure]], words: Strings) -> MeasureToTake:
    """One change with every finding that it answers, and its effect on each where a sweep measured it."""
    first = pairs[0][1]
    setting = words.plain("measures.setting", setting=first.setting, now=first.now)
    several = len(pairs) > 1
    effects = [
        f"{_named(finding)}: {measure.effect}" if several else measure.effect
        for finding, measure in pairs
        if measure.effect
    ]
    return MeasureToTake(
        sentence_case(first.action),
        tuple(dict.fromkeys(_named(finding) for finding, _ in pairs)),
        f"{setting} ({first.place})" if first.place else setting,
        tuple(dict.fromkeys(map(sentence_case, effects))),
    )


def _named(finding: Finding) -> str:
    """What a finding is about, as one part of a list; its figures stand in the table of findings."""
    first = first_sentence(finding.sentence)
    return first.partition(": ")[0] if finding.metric and ": " in first else first.rstrip(".")


def _listed(groups: dict[str, list[str]]) -> tuple[MeasureToTake, ...]:
    return tuple(MeasureToTake(advice, tuple(dict.fromkeys(because))) for advice, because in groups.items())


def evidence_index(results: Results) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The evidence that claims, risks and controls name, gathered by who names it; without attacks that gave none."""
    used: dict[str, list[str]] = {}
    for claim in results.claims:
        for item in claim.evidence:
            used.setdefault(item, []).append(claim.id)
    for row in results.controls:
        for item in row.evidence:
            used.setdefault(item, []).append(row.id)
    for cell in results.risks:
        for item in cell.evidence:
            used.setdefault(item, []).append(cell.event)
    outcomes = {o.key: o.status == OutcomeStatus.MEASURED for o in results.outcomes}
    merged: dict[str, list[str]] = {}
    for item, by in sorted(used.items()):
        outcome = next((key for key in outcomes if item.startswith(f"{key}:")), item)
        if outcomes.get(outcome, True):
            merged.setdefault(outcome, []).extend(by)
    gathered: dict[tuple[str, ...], list[str]] = {}
    for item, by in merged.items():
        gathered.setdefault(tuple(dict.fromkeys(by)), []).append(item)
    return [(tuple(items), by) for by, items in gathered.items()]


def audit_reading(audit: EpsilonAudit, accounting: AccountingReport) -> str:
    """The reading of the settings whose epsilon an audit is held against, where it is not the headline one."""
    headline = accounting.epsilon
    if audit.accounted is None or headline is None or audit.accounted == headline.upper:
        return ""
    return next((x.adjacency for x in accounting.alternatives if x.upper == audit.accounted), "")


def interval_methods(results: Results, words: Strings) -> str:
    """Each way in which intervals were made, with the measures that use it."""
    used: dict[str, dict[str, None]] = {}
    for outcome in results.outcomes:
        for m in outcome.measurements:
            if m.interval is not None and m.value is not None:
                name = words.plain(f"metrics.{metric_key(m.metric, words)}.short", metric=m.metric.replace("_", " "))
                used.setdefault(m.interval.method, {})[name] = None
    parts = [
        words.plain("method.method_part", method=method, metrics=", ".join(names)) for method, names in used.items()
    ]
    return words.plain("method.methods", parts="; ".join(parts)) if parts else ""


def posterior_fpr(caps: AttackCaps) -> float:
    """The false alarms at which the beliefs are capped: where the curve gives them by Bayes' rule."""

    def miss(point: CapPoint) -> float:
        return sum(
            abs(value - float(prior) * point.tpr / (float(prior) * point.tpr + (1 - float(prior)) * point.fpr))
            for prior, value in caps.posterior.items()
        )

    return min((point for point in caps.roc if point.fpr > 0 and point.tpr > 0), key=miss).fpr


def finding_value(finding: Finding) -> str:
    """The finding's value in its unit."""
    return "–" if finding.value is None else quantity(finding.value, finding.unit)


def finding_interval(finding: Finding) -> str:
    """The finding's interval, rounded outwards."""
    if finding.low is None or finding.high is None:
        return "–"
    low = quantity(finding.low, finding.unit, rounding=Rounding.DOWN)
    return f"{low} to {quantity(finding.high, finding.unit, rounding=Rounding.UP)}"


def finding_limit(finding: Finding) -> str:
    """The limit in the finding's unit."""
    return "–" if finding.limit is None else quantity(finding.limit, finding.unit)


def grant_words(name: str) -> str:
    """A grant as a clause."""
    return Grant(name).words if name in set(Grant) else name


def withheld_words(text: str) -> str:
    """``client_update: reason`` with the grant in words."""
    name, colon, reason = text.partition(":")
    return f"{grant_words(name.strip())}:{reason}" if colon else grant_words(text)
