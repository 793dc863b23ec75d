"""Attacks of one adversary that were measured alike, side by side in one table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from auditor.core.findings import FindingStatus
from auditor.report.attacks import AttackBlock, MeasureRow
from auditor.report.describe import attack_title, ends, floor_text
from auditor.report.formatting import measured, number, quantity
from auditor.report.strings import Strings

WIDEST = 7
"""More measures than this do not fit beside each other on a sheet."""


@dataclass(frozen=True)
class Cell:
    """A figure with its interval, how it stands to its limit, and what it does not share with its column."""

    value: str
    interval: str
    status: FindingStatus | None
    own: str


@dataclass(frozen=True)
class Beside:
    """One attack on one state of the model, with a cell for each measure."""

    title: str
    state: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Together:
    """Attacks with the same measures on the same states of the model; one attack alone has no columns.

    Attributes:
        blocks: The attacks, each with what its run says beside the figures.
        state: Of the model, in words, where there is one alone.
        columns: The measures.
        floors, limits, trials: One text for each measure; a dash where the rows differ, whose cells then say it.
    """

    blocks: tuple[AttackBlock, ...]
    state: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[Beside, ...] = ()
    floors: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    trials: tuple[str, ...] = ()


def together(blocks: Sequence[AttackBlock], words: Strings) -> list[Together]:
    """The blocks in their order; alike ones stand together at the place of the first."""
    groups: dict[tuple[object, ...], list[AttackBlock]] = {}
    for place, block in enumerate(blocks):
        groups.setdefault(_alike(block) or (place,), []).append(block)
    return [_joined(group, words) if len(group) > 1 else Together(tuple(group)) for group in groups.values()]


def _alike(block: AttackBlock) -> tuple[object, ...]:
    """What must be equal: states and measures, each measure on every state; empty where a block stands alone."""
    names = tuple(dict.fromkeys(row.name for row in block.rows))
    if not 1 <= len(names) <= WIDEST or len(block.rows) != len(names) * max(1, len(block.states)):
        return ()
    return block.outcome.control, block.states, names


def _joined(blocks: Sequence[AttackBlock], words: Strings) -> Together:
    first = blocks[0]
    states = first.states or ("",)
    columns = tuple(dict.fromkeys(row.name for row in first.rows))
    by_column = [[row for block in blocks for row in block.rows if row.name == name] for name in columns]
    floors = [_shared([floor_text(row.measurement) for row in rows]) for rows in by_column]
    limits = [_shared([_limit(row) for row in rows]) for rows in by_column]
    pointers = {
        words.plain("results.as_there", attack=attack_title(first.outcome)),
        words.plain("results.beside_above"),
    }
    rows = []
    for block in blocks:
        for k, state in enumerate(states):
            mine = [[row for row in block.rows if row.name == name][k] for name in columns]
            cells = tuple(_cell(row, floors[j], limits[j], words) for j, row in enumerate(mine))
            rows.append(Beside(attack_title(block.outcome), state if len(states) > 1 else "", cells))
    return Together(
        blocks=(first, *(_without(block, pointers) for block in blocks[1:])),
        state=first.states[0] if len(first.states) == 1 else "",
        columns=columns,
        rows=tuple(rows),
        floors=tuple(text or "–" for text in floors),
        limits=tuple(text or "–" for text in limits),
        trials=tuple(_trials([row.measurement.n for row in rows]) for rows in by_column),
    )


def _shared(texts: Sequence[str]) -> str:
    return texts[0] if len(set(texts)) == 1 else ""


def _cell(row: MeasureRow, floor: str, limit: str, words: Strings) -> Cell:
    own = []
    if not floor and row.measurement.floor is not None:
        own.append(words.plain("answers.floor", floor=floor_text(row.measurement)))
    if not limit and _limit(row):
        own.append(words.plain("results.limit", limit=_limit(row)))
    interval = f"{' to '.join(ends(row.measurement))}" if row.measurement.interval else ""
    return Cell(measured(row.measurement), interval, row.finding.status if row.finding else None, "; ".join(own))


def _limit(row: MeasureRow) -> str:
    if row.finding is None or row.finding.limit is None:
        return ""
    return quantity(row.finding.limit, row.finding.unit)


def _without(block: AttackBlock, pointers: set[str]) -> AttackBlock:
    """The block without lines that only point to an attack of the same table."""
    floors = tuple(line for line in block.floors if line not in pointers)
    return replace(block, floors=floors, beside=tuple(line for line in block.beside if line not in pointers))


def _trials(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return number(low) if low == high else f"{number(low)} to {number(high)}"
