"""Curves of membership inference as figures: who is recognised at which share of false alarms."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from auditor.core.measurement import Measurement, Outcome
from auditor.core.results import Results
from auditor.policy.disagreement import released_only
from auditor.report.describe import scenario_title, value_with_interval
from auditor.report.figures.canvas import Figure, Table
from auditor.report.figures.roc import Curve, RocWords, draw_roc
from auditor.report.formatting import Rounding, letters, measured, number, percent
from auditor.report.load import Evidence
from auditor.report.strings import Strings

PER_ROC = 6


class _Point(NamedTuple):
    """A share of recognised members at one share of false alarms, with the name of its curve."""

    label: str
    measurement: Measurement


def roc_figures(evidence: Evidence, scenario: str, words: Strings) -> list[Figure]:
    """The curves of one adversary, at most six in a figure."""
    with_curve = [
        (outcome, rows)
        for outcome in evidence.results.outcomes
        if outcome.scenario == scenario
        for ref in outcome.arrays
        if (rows := evidence.array(ref)) is not None and rows.ndim == 2 and rows.shape[1] == 4 and len(rows)
    ]
    chunks = [with_curve[start : start + PER_ROC] for start in range(0, len(with_curve), PER_ROC)]
    return [
        _roc(f"roc-{_slug(scenario)}-{letters(k).lower()}", part, evidence.results, words)
        for k, part in enumerate(chunks)
    ]


def _roc(name: str, part: list[tuple[Outcome, np.ndarray]], results: Results, words: Strings) -> Figure:
    caps = results.accounting.caps
    points_of_cap = [(p.fpr, p.tpr) for p in caps.roc] if caps and any(p.tpr < 1 for p in caps.roc) else []
    bounded = bool(points_of_cap)
    holds = bounded and all(released_only(results, outcome) for outcome, _ in part)
    cap = np.array(points_of_cap) if holds else None
    labels = [_curve_label(outcome, part, words) for outcome, _ in part]
    curves = [Curve(label, rows) for label, (_, rows) in zip(labels, part, strict=True)]
    text = RocWords(
        x_axis=words.plain("results.roc_x"),
        y_axis=words.plain("results.roc_y"),
        guessing=words.plain("results.roc_guessing"),
        cap=words.plain("results.roc_cap_label"),
    )
    wide, narrow = draw_roc(name, curves, cap, text)
    points = [
        _Point(label, m)
        for label, (outcome, _) in zip(labels, part, strict=True)
        for m in outcome.measurements
        if m.metric == "tpr_at_fpr" and m.value is not None and "fpr" in m.at
    ]
    caps_at = dict(points_of_cap) if holds else {}
    return Figure(
        id=name,
        title=words.plain("results.roc_title", scenario=scenario_title(results, part[0][0].scenario)),
        caption=_roc_caption(points, "results.roc_cap" if holds else "results.roc_no_cap" if bounded else "", words),
        alt=words.plain("results.roc_alt", count=number(len(part)), parts=_roc_parts(points, words)),
        wide=wide,
        narrow=narrow,
        table=_roc_table(points, caps_at, words),
    )


def _roc_caption(points: Sequence[_Point], cap: str, words: Strings) -> str:
    """Which curves are clear of guessing where false alarms are fewest, and how the bands were made."""
    levels = {(m.interval.level, m.interval.over) for _, m in points if m.interval}
    text = words.plain(
        "results.roc_caption",
        level=", ".join(sorted({percent(level) for level, _ in levels})) or "confidence",
        over="".join(sorted({f" over {over}" for _, over in levels})),
    )
    known = [(label, m) for label, m in points if m.interval]
    if known:
        fpr = min(m.at["fpr"] for _, m in known)
        clear = [label for label, m in known if m.at["fpr"] == fpr and m.interval and m.interval.low > fpr]
        key = "results.roc_clear" if clear else "results.roc_none_clear"
        text = f"{words.plain(key, fpr=percent(fpr), labels=', '.join(clear))} {text}"
    return f"{text} {words.plain(cap)}" if cap else text


def _roc_parts(points: Sequence[_Point], words: Strings) -> str:
    return " ".join(
        words.plain("results.roc_part", label=label, value=measured(m), fpr=percent(m.at["fpr"])) for label, m in points
    )


def _roc_table(points: Sequence[_Point], caps: Mapping[float, float], words: Strings) -> Table:
    """A row for each attack, a column for each share of false alarms; the cap of the accounting in the last row."""
    shares = sorted({m.at["fpr"] for _, m in points}, reverse=True)
    cells = {(label, m.at["fpr"]): value_with_interval(m) for label, m in points}
    rows = [
        (label, *(cells.get((label, fpr), "–") for fpr in shares))
        for label in dict.fromkeys(label for label, _ in points)
    ]
    if caps and shares:
        rows.append((words.plain("results.roc_cap_row"), *(_cap_text(caps.get(fpr)) for fpr in shares)))
    heads = (words.plain("method.attack"), *(words.plain("results.roc_column", fpr=percent(fpr)) for fpr in shares))
    return Table(heads, tuple(rows), (34, *([66 // max(1, len(shares))] * len(shares))))


def _cap_text(value: float | None) -> str:
    return "–" if value is None else percent(value, rounding=Rounding.UP)


def _curve_label(outcome: Outcome, part: list[tuple[Outcome, np.ndarray]], words: Strings) -> str:
    label = re.split(r"[./]", outcome.attack)[-1].replace("-", " ").replace("_", " ")
    states = {other.state for other, _ in part}
    if len(states) > 1 and outcome.state:
        label += f" {words.plain(f'results.state.{outcome.state.value}')}"
    return label


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
