"""Findings gathered into few rows: equal ones together, tests of the attacks and what does not apply apart."""

import re
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
    scenario_title,
    sentence_case,
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
    """What an attack reached where the answer is known beforehand; one line per state and measure."""

    title: str
    kind: str
    lines: tuple[str, ...]


def finding_rows(results: Results, words: Strings) -> list[FindingRow]:
    """All findings on the audited setting, without attacks that do not apply; what weighs most first."""
    outcomes = {outcome.key: outcome for outcome in results.outcomes}
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in _of_setting(by_weight(results.findings), outcomes):
        groups.setdefault(_subject(finding, outcomes), []).append(finding)
    merged: dict[tuple[FindingStatus, str], list[tuple[str, tuple[str, ...]]]] = {}
    for group in groups.values():
        titles, row = _row(sorted(group, key=results.findings.index), outcomes, words)
        merged.setdefault((row.status, row.why), []).append(("; ".join(titles), row.lines))
    return [_merged(status, why, parts) for (status, why), parts in merged.items()]


def _merged(status: FindingStatus, why: str, parts: Sequence[tuple[str, tuple[str, ...]]]) -> FindingRow:
    """One row for all attacks with one conclusion; where their figures differ, each line names its attack."""
    titles = tuple(dict.fromkeys(title for title, _ in parts if title))
    if len({lines for _, lines in parts}) == 1:
        return FindingRow(status, titles, parts[0][1], why)
    return FindingRow(status, titles, tuple(f"{title} – {line}" for title, lines in parts for line in lines), why)


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


def _row(group: Sequence[Finding], outcomes: dict[str, Outcome], words: Strings) -> tuple[list[str], FindingRow]:
    first = outcomes.get(group[0].outcome)
    if first is None or not group[0].metric:
        return [], FindingRow(group[0].status, (), (), group[0].sentence)
    lines = tuple(dict.fromkeys(_line(finding, outcomes[finding.outcome], words) for finding in group))
    why = dict.fromkeys(part for finding in group for part in _conclusions(finding.sentence))
    return [attack_title(first)], FindingRow(group[0].status, (), lines, " ".join(why))


def _conclusions(sentence: str) -> list[str]:
    """What follows the first sentence; the first one states the figure, which the row shows as such."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", sentence)[1:] or [sentence]


def _line(finding: Finding, outcome: Outcome, words: Strings) -> str:
    name = key_name(finding.metric, words)
    measurement = next((m for m in outcome.measurements if m.key == finding.metric), None)
    if finding.value is None:
        return words.plain("findings.not_claimed", name=name)
    state = f", {words.plain(f'results.state.{outcome.state.value}')}" if outcome.state else ""
    figure = quantity(finding.value, finding.unit)
    if finding.low is not None and finding.high is not None:
        low = quantity(finding.low, finding.unit, rounding=Rounding.DOWN)
        figure += f" ({low} to {quantity(finding.high, finding.unit, rounding=Rounding.UP)})"
    if measurement is None or measurement.floor is None:
        return f"{name}{state}: {figure}"
    return words.plain("findings.line", name=name + state, figure=figure, floor=floor_text(measurement))


def check_rows(results: Results, words: Strings) -> list[CheckRow]:
    """Positive and negative controls: whether the attacks find what is there, and nothing where nothing is."""
    groups: dict[tuple[str, str], list[str]] = {}
    for outcome in results.outcomes:
        for m in _checks(outcome):
            kind = "negative" if m.metric.startswith(CONTROL) else outcome.control
            groups.setdefault((attack_title(outcome), kind), []).append(_check_line(outcome, m, words))
        if outcome.control and outcome.status != OutcomeStatus.MEASURED:
            reason = sentence_case("; ".join(outcome.reasons))
            groups.setdefault((attack_title(outcome), outcome.control), []).append(reason)
    return [
        CheckRow(title, words.plain(f"tests.{kind}"), tuple(dict.fromkeys(lines)))
        for (title, kind), lines in groups.items()
    ]


def _checks(outcome: Outcome) -> list[Measurement]:
    """The headline of a control, or what an attack carries beside its own figures."""
    known = [m for m in outcome.measurements if m.value is not None]
    if outcome.control:
        return known[:1]
    return [m for m in known if m.metric.startswith(CONTROL)]


def _check_line(outcome: Outcome, m: Measurement, words: Strings) -> str:
    name = metric_name(m, words)
    if outcome.state:
        name += f", {words.plain(f'results.state.{outcome.state.value}')}"
    return words.plain("findings.line", name=name, figure=value_with_interval(m), floor=floor_text(m))


def rebuilt_rows(results: Results, words: Strings) -> list[tuple[str, str, str]]:
    """Attack and adversary, records attacked and share rebuilt; the states of the model in their order."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for outcome in results.outcomes:
        label = f"{attack_title(outcome)} – {scenario_title(results, outcome.scenario)}"
        for m in (m for m in outcome.measurements if m.metric == "recovered_share"):
            state = f"{words.plain(f'results.model_state.{outcome.state.value}')}: " if outcome.state else ""
            groups.setdefault(label, []).append((number(m.n), state + value_with_interval(m)))
    return [
        (label, "; ".join(n for n, _ in rows), "; ".join(text for _, text in rows)) for label, rows in groups.items()
    ]
