"""Results by attack: one block per attack and adversary, all states of the model in one table."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auditor.core.findings import Finding
from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.report.describe import attack_title, findings_of, metric_key, metric_name, value_with_interval
from auditor.report.formatting import number, percent
from auditor.report.strings import Strings

BESIDE = ("blind_", "control_")
CONTROL = "control_"
PRECISION = "precision"
_NUMBER = re.compile(r"\d[\d.,e+-]*")
"""Notes that differ in numbers alone are shown once."""


@dataclass(frozen=True)
class MeasureRow:
    """A measurement with its finding, ready for a table."""

    measurement: Measurement
    name: str
    state: str
    finding: Finding | None


@dataclass(frozen=True)
class AttackBlock:
    """One attack of one adversary.

    Attributes:
        outcome: The first of its outcomes.
        states: In words; where there are several, the table has a column for them.
        rows: What may be claimed, measure by measure.
        refused: Measures that may not be claimed, with the reasons.
        beside: Baselines without the model, a line each; negative controls stand in the table of tests.
        counted, floors: Kinds of trials, and ways in which figures without attack were made, with their measures.
        precise: How often an accusation is right, for each share of members among the candidates.
        about: Effort, parameters and notes; values that differ between the states stand in their order.
    """

    outcome: Outcome
    states: tuple[str, ...]
    rows: tuple[MeasureRow, ...]
    refused: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    beside: tuple[str, ...]
    counted: tuple[str, ...]
    floors: tuple[str, ...]
    precise: tuple[str, ...]
    about: tuple[str, ...]


def attack_blocks(results: Results, scenario: str, words: Strings) -> list[AttackBlock]:
    """The measured attacks of one adversary in the order of the plan."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in results.outcomes:
        if outcome.scenario == scenario and outcome.status == OutcomeStatus.MEASURED:
            groups.setdefault((outcome.attack, outcome.control), []).append(outcome)
    return [_block(results, group, words) for group in groups.values()]


def brief(blocks: Sequence[AttackBlock], words: Strings) -> list[AttackBlock]:
    """The same blocks, each without what an earlier one says word for word."""
    return [_shortened(block, blocks[:k], words) for k, block in enumerate(blocks)]


def _shortened(block: AttackBlock, before: Sequence[AttackBlock], words: Strings) -> AttackBlock:
    """The block without what an earlier attack of the same adversary says word for word."""
    if block.outcome.control:
        return replace(block, counted=(), floors=(), beside=())
    told = {line for other in before for line in other.beside}
    noted = {note for other in before for note in other.outcome.notes}
    own = tuple(line for line in block.beside if line not in told)
    refused = () if any(other.refused == block.refused for other in before) else block.refused
    same = next((other for other in before if (other.counted, other.floors) == (block.counted, block.floors)), None)
    as_there = (words.plain("results.as_there", attack=attack_title(same.outcome)),) if same else ()
    fewer = len(own) < len(block.beside) or len(refused) < len(block.refused)
    rest = (words.plain("results.beside_above"),) if fewer else ()
    return replace(
        block,
        about=tuple(part for part in block.about if part not in noted),
        refused=refused,
        beside=(*own, *rest),
        counted=() if same else block.counted,
        floors=as_there or block.floors,
    )


def not_applying(results: Results, scenario: str) -> list[tuple[str, tuple[str, ...], str]]:
    """What gave no figure: status, attacks and their reason, gathered by the reason."""
    groups: dict[tuple[str, str], list[str]] = {}
    for outcome in results.outcomes:
        if outcome.scenario == scenario and outcome.status != OutcomeStatus.MEASURED:
            groups.setdefault((outcome.status, "; ".join(outcome.reasons)), []).append(attack_title(outcome))
    return [(status, tuple(dict.fromkeys(titles)), reason) for (status, reason), titles in groups.items()]


def sources(results: Results) -> list[tuple[str, str, str]]:
    """Title, name and source of every planned attack, once."""
    return list(dict.fromkeys((attack_title(o), o.attack, o.paper) for o in results.outcomes))


def _block(results: Results, group: Sequence[Outcome], words: Strings) -> AttackBlock:
    several = len({o.state for o in group}) > 1
    key = "results.model_state" if several else "results.state"
    states = tuple(words.plain(f"{key}.{o.state.value}") if o.state else "–" for o in group)
    rows = [row for o, state in zip(group, states, strict=True) for row in _rows(results, o, state, words)]
    names = list(dict.fromkeys(row.name for row in rows))
    rows.sort(key=lambda row: names.index(row.name))
    precise = [row for row in rows if row.measurement.metric == PRECISION and not row.finding]
    beside = [row for row in rows if row.measurement.metric.startswith(BESIDE) and not row.finding]
    shown = tuple(row for row in rows if row not in precise and row not in beside)
    return AttackBlock(
        outcome=group[0],
        states=tuple(dict.fromkeys(state for state in states if state != "–")),
        rows=shown,
        refused=_refused(group, words),
        beside=_beside([row for row in beside if not row.measurement.metric.startswith(CONTROL)], words),
        counted=_by_text(((row, row.measurement.n_of) for row in shown), words),
        floors=_by_text(((row, row.measurement.floor_is) for row in rows), words),
        precise=_precise(precise, words),
        about=_about(group, words),
    )


def _rows(results: Results, outcome: Outcome, state: str, words: Strings) -> list[MeasureRow]:
    found = findings_of(results, outcome)
    claimed = [m for m in outcome.measurements if m.value is not None]
    return [MeasureRow(m, metric_name(m, words), state, found.get(m.key)) for m in claimed]


def _short(m: Measurement, words: Strings) -> str:
    return words.plain(f"metrics.{metric_key(m.metric, words)}.short", metric=m.metric.replace("_", " "))


def _refused(group: Sequence[Outcome], words: Strings) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    reasons: dict[str, list[str]] = {}
    for m in (m for outcome in group for m in outcome.measurements if m.value is None):
        reasons.setdefault(m.refused, []).append(_short(m, words))
    shared: dict[tuple[str, ...], list[str]] = {}
    for reason, names in reasons.items():
        shared.setdefault(tuple(dict.fromkeys(names)), []).append(reason.rstrip("."))
    return tuple((names, tuple(refusals)) for names, refusals in shared.items())


def _beside(rows: Sequence[MeasureRow], words: Strings) -> tuple[str, ...]:
    return tuple(
        words.plain(
            "results.beside",
            name=row.name,
            figure=value_with_interval(row.measurement),
            count=number(row.measurement.n),
            of=row.measurement.n_of,
        )
        for row in rows
    )


def _precise(rows: Sequence[MeasureRow], words: Strings) -> tuple[str, ...]:
    """One line for each share of false alarms."""
    lines: dict[str, list[str]] = {}
    for row in rows:
        m = row.measurement
        part = words.plain("results.precise_part", figure=value_with_interval(m), prior=percent(m.at.get("prior", 0.0)))
        lines.setdefault(percent(m.at.get("fpr", 0.0)), []).append(part)
    return tuple(words.plain("results.precise_at", fpr=fpr, parts=", ".join(parts)) for fpr, parts in lines.items())


def _by_text(pairs: Iterable[tuple[MeasureRow, str]], words: Strings) -> tuple[str, ...]:
    """Each text once: first the one that speaks of most measures, then the others with the measures they speak of."""
    texts: dict[str, list[str]] = {}
    for row, text in pairs:
        texts.setdefault(text, []).append(_short(row.measurement, words))
    texts.pop("", None)
    spoken = {text: tuple(dict.fromkeys(names)) for text, names in texts.items()}
    most = max(spoken, key=lambda text: len(spoken[text]), default="")
    rest = [f"{', '.join(names)} – {text}" for text, names in spoken.items() if text != most]
    return (most, *rest) if most else ()


def _about(group: Sequence[Outcome], words: Strings) -> tuple[str, ...]:
    observed = words.plain("results.observations")
    parts = _pieces([{observed: outcome.observations or None} for outcome in group])
    parts += _pieces([outcome.effort for outcome in group])
    parts += _pieces([outcome.parameters for outcome in group])
    notes = list(dict.fromkeys(note for outcome in group for note in outcome.notes))
    kinds: dict[str, list[str]] = {}
    for note in notes:
        kinds.setdefault(_NUMBER.sub("#", note), []).append(note)
    for alike in kinds.values():
        more = [words.plain("results.alike", count=number(len(alike) - 1))] if len(alike) > 1 else []
        parts.append(" ".join([alike[0], *more]))
    return tuple(parts)


def _pieces(values: Sequence[dict[str, Any]]) -> list[str]:
    """``key: value``, with every state's value where they differ."""
    parts = []
    for key in sorted({key for each in values for key in each}):
        texts = [_text(each[key]) for each in values if each.get(key) is not None]
        if texts:
            parts.append(f"{key.replace('_', ' ')}: {' / '.join(texts if len(set(texts)) > 1 else texts[:1])}")
    return parts


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(v if isinstance(v, str) else number(v) for v in value)
    return str(value).lower() if isinstance(value, str | bool) else number(value)
