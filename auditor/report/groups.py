"""Findings gathered into few rows: equal ones together, tests of the attacks and what does not apply apart."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from auditor.core.findings import Finding, FindingStatus
from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.report.describe import (
    attack_title,
    by_weight,
    floor_text,
    key_name,
    metric_name,
    sentence_case,
    split_sentences,
    told_apart,
    value_with_interval,
)
from auditor.report.formatting import Rounding, number, quantity
from auditor.report.strings import Strings

CONTROL = "control_"
"""Prefix of what an attack measured where nothing can be found."""


@dataclass(frozen=True)
class FindingRow:
    """Findings of one status that say the same about one or more attacks.

    Attributes:
        titles: The attacks; empty where the findings are not about an attack.
        lines: One per measure and state: its figure with the interval and the figure without attack.
        why: What the findings conclude, each sentence once.
    """

    status: FindingStatus
    titles: tuple[str, ...]
    lines: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class CheckRow:
    """One measure of a test whose answer is known beforehand, with the figure of each attack."""

    test: str
    figures: tuple[str, ...]


@dataclass(frozen=True)
class _Figure:
    """What one attack reached by one measure; ``name`` holds the state of the model too."""

    title: str
    name: str
    value: str
    floor: str


def finding_rows(results: Results, words: Strings) -> list[FindingRow]:
    """All findings on the audited setting, without attacks that do not apply; what weighs most first."""
    outcomes = {outcome.key: outcome for outcome in results.outcomes}
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in _of_setting(by_weight(results.findings), outcomes):
        groups.setdefault(_subject(finding, outcomes), []).append(finding)
    merged: dict[tuple[FindingStatus, str], list[_Figure]] = {}
    for group in groups.values():
        found = sorted(group, key=results.findings.index)
        merged.setdefault((found[0].status, _why(found, outcomes)), []).extend(_figures(found, results, words))
    return [_row(status, why, figures, words) for (status, why), figures in merged.items()]


def _row(status: FindingStatus, why: str, figures: Sequence[_Figure], words: Strings) -> FindingRow:
    """One row for all attacks with one conclusion; where their figures differ, each stands beside its attack."""
    titles = tuple(dict.fromkeys(figure.title for figure in figures))
    told = [tuple(_line(f, words) for f in figures if f.title == title) for title in titles]
    if len(set(told)) <= 1:
        return FindingRow(status, titles, tuple(dict.fromkeys(line for lines in told for line in lines)), why)
    heads: dict[str, dict[str, None]] = {}
    for figure in figures:
        heads.setdefault(_head(figure, words), {})[f"{figure.title} {figure.value}"] = None
    return FindingRow(status, (), tuple(f"{head}: {'; '.join(parts)}" for head, parts in heads.items()), why)


def _line(figure: _Figure, words: Strings) -> str:
    if not figure.floor:
        return f"{figure.name}: {figure.value}"
    return words.plain("findings.line", name=figure.name, figure=figure.value, floor=figure.floor)


def _head(figure: _Figure, words: Strings) -> str:
    return words.plain("findings.head", name=figure.name, floor=figure.floor) if figure.floor else figure.name


def _of_setting(findings: Iterable[Finding], outcomes: dict[str, Outcome]) -> Iterator[Finding]:
    for finding in findings:
        outcome = outcomes.get(finding.outcome)
        if outcome is None or (finding.status != FindingStatus.NOT_APPLICABLE and not outcome.control):
            yield finding


def _subject(finding: Finding, outcomes: dict[str, Outcome]) -> tuple[str, ...]:
    """Findings with equal subjects differ in the operating point or the state of the model alone."""
    outcome = outcomes.get(finding.outcome)
    if outcome is None or not finding.metric:
        return (finding.id,)
    refused = "refused" if finding.value is None else ""
    return finding.status, outcome.scenario, outcome.attack, finding.metric.partition("[")[0], refused


def _why(group: Sequence[Finding], outcomes: dict[str, Outcome]) -> str:
    """The conclusions of findings, each once; the whole sentence where a finding is not about a measure."""
    if group[0].outcome not in outcomes or not group[0].metric:
        return group[0].sentence
    return " ".join(dict.fromkeys(part for finding in group for part in _conclusions(finding.sentence)))


def _conclusions(sentence: str) -> list[str]:
    """What follows the first sentence; the first one states the figure, which the row shows as such."""
    return split_sentences(sentence)[1:] or [sentence]


def _figures(group: Sequence[Finding], results: Results, words: Strings) -> Iterator[_Figure]:
    outcomes = {outcome.key: outcome for outcome in results.outcomes}
    for finding in group:
        outcome = outcomes.get(finding.outcome)
        if outcome is not None and finding.metric:
            yield _figure(finding, outcome, told_apart(results, outcome), words)


def _figure(finding: Finding, outcome: Outcome, title: str, words: Strings) -> _Figure:
    name = key_name(finding.metric, words)
    measurement = next((m for m in outcome.measurements if m.key == finding.metric), None)
    if finding.value is None:
        return _Figure(title, name, words.plain("findings.not_claimed"), "")
    if outcome.state:
        name += f", {words.plain(f'results.state.{outcome.state.value}')}"
    value = quantity(finding.value, finding.unit)
    if finding.low is not None and finding.high is not None:
        low = quantity(finding.low, finding.unit, rounding=Rounding.DOWN)
        value += f" ({low} to {quantity(finding.high, finding.unit, rounding=Rounding.UP)})"
    floor = "" if measurement is None or measurement.floor is None else floor_text(measurement)
    return _Figure(title, name, value, floor)


def check_rows(results: Results, words: Strings) -> list[CheckRow]:
    """Positive and negative controls: whether the attacks find what is there, and nothing where nothing is."""
    groups: dict[str, dict[str, None]] = {}
    for outcome in results.outcomes:
        title = told_apart(results, outcome)
        for m in _checks(outcome):
            groups.setdefault(_head(_checked(outcome, m, words), words), {})[f"{title} {value_with_interval(m)}"] = None
        if outcome.control and outcome.status != OutcomeStatus.MEASURED:
            kind = sentence_case(words.plain(f"tests.{outcome.control}")).rstrip(".")
            groups.setdefault(kind, {})[f"{title}: {'; '.join(outcome.reasons)}"] = None
    return [CheckRow(test, tuple(figures)) for test, figures in groups.items()]


def _checks(outcome: Outcome) -> list[Measurement]:
    """The headline of a control, or what an attack carries beside its own figures."""
    known = [m for m in outcome.measurements if m.value is not None]
    if outcome.control:
        return known[:1]
    return [m for m in known if m.metric.startswith(CONTROL)]


def _checked(outcome: Outcome, m: Measurement, words: Strings) -> _Figure:
    """A figure of a test; the name says which kind of test it is, where the measure does not."""
    name = metric_name(m, words)
    if not m.metric.startswith(CONTROL):
        name = f"{sentence_case(words.plain(f'tests.{outcome.control}')).rstrip('.')}, {name[:1].lower()}{name[1:]}"
    if outcome.state:
        name += f", {words.plain(f'results.state.{outcome.state.value}')}"
    return _Figure(attack_title(outcome), name, value_with_interval(m), "" if m.floor is None else floor_text(m))


def rebuilt_rows(results: Results, words: Strings) -> list[tuple[str, str, str]]:
    """Attack and adversary, records attacked and share rebuilt; the states of the model in their order."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for outcome in results.outcomes:
        label = f"{attack_title(outcome)} – {outcome.scenario}"
        for m in (m for m in outcome.measurements if m.metric == "recovered_share"):
            state = f"{words.plain(f'results.model_state.{outcome.state.value}')}: " if outcome.state else ""
            groups.setdefault(label, []).append((number(m.n), state + value_with_interval(m)))
    return [
        (label, "; ".join(n for n, _ in rows), "; ".join(text for _, text in rows)) for label, rows in groups.items()
    ]
