"""Which figures a run gives, with their captions, alternative texts and data tables."""

import math
from collections import Counter
from dataclasses import dataclass

from auditor.core.findings import ControlStatus, RiskCell
from auditor.core.measurement import Measurement, Outcome
from auditor.core.results import Results
from auditor.report.curves import sweep_figures
from auditor.report.decisions import level_words, likelihood_words
from auditor.report.describe import (
    attack_title,
    ends,
    findings_of,
    floor_text,
    scenario_title,
    sentence_case,
)
from auditor.report.figures.canvas import Figure, Table
from auditor.report.figures.controls import draw_controls
from auditor.report.figures.epsilon import EpsilonWords, draw_epsilon
from auditor.report.figures.risk import RiskMark, RiskWords, draw_risk
from auditor.report.figures.shares import ShareRow, draw_shares
from auditor.report.formatting import Rounding, letters, measured, number, percent, quantity
from auditor.report.load import Evidence
from auditor.report.rocs import roc_figures
from auditor.report.strings import Strings

PER_SHARES = 16
SHARES = ("recovered_share", "label_accuracy")


@dataclass(frozen=True)
class Figures:
    """All figures of a report; drawn once and used by every page.

    Attributes:
        roc: By scenario.
    """

    roc: dict[str, list[Figure]]
    shares: list[Figure]
    epsilon: Figure | None
    risk: Figure | None
    controls: Figure | None
    sweeps: list[Figure]


def draw_figures(evidence: Evidence, words: Strings) -> Figures:
    """Draw what the run gives."""
    results = evidence.results
    scenarios = dict.fromkeys([s.name for s in results.scenarios] + [o.scenario for o in results.outcomes])
    return Figures(
        roc={name: roc_figures(evidence, name, words) for name in scenarios},
        shares=shares_figures(evidence, words),
        epsilon=epsilon_figure(results, words),
        risk=risk_figure(results, words),
        controls=controls_figure(results, words),
        sweeps=sweep_figures(results, words),
    )


def shares_figures(evidence: Evidence, words: Strings) -> list[Figure]:
    """Shares recovered by all adversaries, against their floors and limits; controls stand in a table of their own."""
    rows = [
        (outcome, m)
        for outcome in evidence.results.outcomes
        if not outcome.control
        for m in outcome.measurements
        if m.metric in SHARES and m.value is not None and m.interval is not None
    ]
    chunks = [rows[start : start + PER_SHARES] for start in range(0, len(rows), PER_SHARES)]
    return [_shares(f"shares-{letters(k).lower()}", part, evidence.results, words) for k, part in enumerate(chunks)]


def _shares(name: str, part: list[tuple[Outcome, Measurement]], results: Results, words: Strings) -> Figure:
    rows, table, levels = [], [], set()
    scenarios = list(dict.fromkeys(outcome.scenario for outcome, _ in part))
    for outcome, m in part:
        if m.value is None or m.interval is None:
            continue
        finding = findings_of(results, outcome).get(m.key)
        limit = finding.limit if finding else None
        label = attack_title(outcome)
        if len(scenarios) > 1:
            label += f" – {outcome.scenario}"
        if outcome.state:
            label += f", {words.plain(f'results.state.{outcome.state.value}')}"
        levels.add(percent(m.interval.level))
        rows.append(ShareRow(label, m.value, m.interval.low, m.interval.high, m.floor, limit))
        table.append(
            (
                label,
                measured(m),
                " to ".join(ends(m)),
                floor_text(m),
                "–" if limit is None else quantity(limit, m.unit),
            )
        )
    wide, narrow = draw_shares(name, rows, words.plain("results.shares_x"))
    parts = " ".join(
        words.plain(
            "results.shares_part", label=row[0], value=row[1], low=row[2].split(" to ")[0], high=row[2].split(" to ")[1]
        )
        for row in table
    )
    return Figure(
        id=name,
        title=_shares_title(scenarios, words),
        caption=words.plain("results.shares_caption", level=", ".join(sorted(levels))),
        alt=words.plain("results.shares_alt", count=number(len(rows)), parts=parts),
        wide=wide,
        narrow=narrow,
        table=Table(tuple(words.get("results.shares_columns")), tuple(table), (60, 9, 15, 8, 8)),
    )


def _shares_title(scenarios: list[str], words: Strings) -> str:
    if len(scenarios) > 1:
        return words.plain("results.shares_title")
    return words.plain("results.shares_of", scenario=scenarios[0])


def epsilon_figure(results: Results, words: Strings) -> Figure | None:
    """Epsilon by round, where it is finite and there is more than one round."""
    rounds = [r for r in results.accounting.by_round if math.isfinite(r.upper)]
    if len(rounds) < 2:
        return None
    claimed = results.accounting.claimed_epsilon
    first, last = rounds[0], rounds[-1]
    claim = "" if claimed is None else number(claimed)
    text = EpsilonWords(
        x_axis=words.plain("privacy.figure_x"),
        y_axis=words.plain("privacy.figure_y"),
        accounted=words.plain("privacy.figure_accounted", value=_up(last.upper)),
        claimed=words.plain("privacy.figure_claimed", value=claim),
    )
    wide, narrow = draw_epsilon("epsilon", rounds, claimed, text)
    step = -(-len(rounds) // 6)
    kept = sorted({*rounds[::step], last}, key=lambda r: r.round) if len(rounds) > 8 else rounds
    return Figure(
        id="epsilon",
        title=words.plain("privacy.figure_title"),
        caption=words.plain("privacy.figure_caption"),
        alt=words.plain(
            "privacy.figure_alt",
            first=_up(first.upper),
            first_round=number(first.round),
            last=_up(last.upper),
            last_round=number(last.round),
            claimed=words.plain("privacy.figure_alt_claimed", claimed=claim) if claim else "",
        ),
        wide=wide,
        narrow=narrow,
        table=Table(
            tuple(words.get("privacy.figure_columns")),
            tuple((number(r.round), _down(r.lower), _up(r.upper)) for r in kept),
            (34, 33, 33),
        ),
    )


def _up(value: float) -> str:
    return number(value, decimals=2, rounding=Rounding.UP)


def _down(value: float) -> str:
    return number(value, decimals=2, rounding=Rounding.DOWN)


def risk_figure(results: Results, words: Strings) -> Figure | None:
    """The matrix, with a letter for each feared event."""
    if not results.risks:
        return None
    marks = [
        RiskMark(letters(k), cell.likelihood, cell.at_least, cell.severity) for k, cell in enumerate(results.risks)
    ]
    text = RiskWords(
        x_axis=words.plain("risk.x_axis"),
        y_axis=words.plain("risk.y_axis"),
        levels=tuple(words.get("risk.levels")),
        undetermined=words.plain("risk.unknown"),
    )
    wide, narrow = draw_risk("risk", marks, text)
    rows = tuple(
        (
            mark.letter,
            cell.event,
            scenario_title(results, cell.actor),
            likelihood_words(cell, words),
            level_words(cell.severity, words),
        )
        for mark, cell in zip(marks, results.risks, strict=True)
    )
    parts = " ".join(
        words.plain("risk.alt_part", letter=row[0], event=row[1], likelihood=row[3], severity=row[4]) for row in rows
    )
    columns = tuple(words.plain(f"risk.{key}") for key in ("letter", "event", "actor", "likelihood", "severity"))
    return Figure(
        id="risk-matrix",
        title=words.plain("risk.title"),
        caption=words.plain("risk.caption"),
        alt=words.plain("risk.alt", parts=parts),
        wide=wide,
        narrow=narrow,
        table=Table(columns, rows, (6, 35, 37, 12, 10)),
    )


@dataclass(frozen=True)
class Why:
    """What cells of the matrix rest on; cells that rest on the same are named together."""

    letters: tuple[str, ...]
    text: str


def risk_reasons(results: Results, words: Strings) -> list[Why]:
    """Success, effort and reason of each cell, in the order of the letters."""
    groups: dict[str, list[str]] = {}
    for k, cell in enumerate(results.risks):
        groups.setdefault(_why(cell, words), []).append(letters(k))
    return [Why(tuple(marks), text) for text, marks in groups.items()]


def _why(cell: RiskCell, words: Strings) -> str:
    effort = words.get("risk.efforts").get(cell.effort, cell.effort)
    success = words.get("risk.bands").get(cell.success_band, cell.success_band)
    text = words.plain("risk.why", success=success, effort=effort or "–", reason=sentence_case(cell.reason))
    return f"{text} {words.plain('risk.asks', zone=sentence_case(cell.zone))}" if cell.zone else text


def controls_figure(results: Results, words: Strings) -> Figure | None:
    """Provisions by status, one bar per law pack."""
    if not results.controls:
        return None
    names = list(dict.fromkeys(row.catalogue for row in results.controls))
    packs = [
        (pack_title(results, name), Counter(row.status for row in results.controls if row.catalogue == name))
        for name in names
    ]
    status_words = {status: words.word("control", status.value) for status in ControlStatus}
    wide, narrow = draw_controls("controls", packs, status_words, words.plain("controls.x_axis"))
    present = [status for status in ControlStatus if any(counts[status] for _, counts in packs)]
    rows = tuple((title, *(number(counts[status]) for status in present)) for title, counts in packs)
    columns = (words.plain("controls.pack"), *(status_words[status] for status in present))
    parts = " ".join(
        words.plain(
            "controls.alt_part",
            pack=title,
            counts=", ".join(f"{number(counts[s])} {status_words[s]}" for s in ControlStatus if counts[s]),
        )
        for title, counts in packs
    )
    return Figure(
        id="controls-by-status",
        title=words.plain("controls.title"),
        caption=words.plain("controls.caption"),
        alt=words.plain("controls.alt", parts=parts),
        wide=wide,
        narrow=narrow,
        table=Table(columns, rows, (28, *([72 // len(present)] * len(present)))),
    )


def pack_title(results: Results, name: str) -> str:
    """The title of a law pack, or its name."""
    for pack in results.catalogues:
        if name in (pack.get("id"), pack.get("name"), pack.get("catalogue")):
            return pack.get("title") or name
    return name
