"""Curves of membership inference as figures: who is recognised at which share of false alarms."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from auditor.core.measurement import Measurement, Outcome
from auditor.core.results import Results
from auditor.policy.cap import covers_updates
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
    curves = [Curve(label, rows, _claimed_from(o)) for label, (o, rows) in zip(labels, part, strict=True)]
    text = RocWords(
        x_axis=words.plain("results.roc_x"),
        y_axis=words.plain("results.roc_y"),
        guessing=words.plain("results.roc_guessing"),
        cap=words.plain("results.roc_cap_label"),
        floor=words.plain("results.roc_floor_label"),
    )
    rates = [_Point(label, m) for label, (o, _) in zip(labels, part, strict=True) for m in o.measurements]
    floor = _floor_line(rates)
    wide, narrow = draw_roc(name, curves, cap, text, floor=floor)
    points = [p for p in rates if _is_rate(p.measurement) and p.measurement.value is not None]
    caps_at = dict(points_of_cap) if holds else {}
    return Figure(
        id=name,
        title=words.plain("results.roc_title", scenario=scenario_title(results, part[0][0].scenario)),
        caption=" ".join(
            [
                *_unclaimed_words(curves, words),
                *_roc_caption(rates, floor is not None, words),
                *_cap_words(results, part, holds, bounded, words),
            ]
        ),
        alt=words.plain("results.roc_alt", count=number(len(part)), parts=_roc_parts(points, words)),
        wide=wide,
        narrow=narrow,
        table=_roc_table(points, caps_at, words),
    )


def _is_rate(measurement: Measurement) -> bool:
    return measurement.metric == "tpr_at_fpr" and "fpr" in measurement.at


def _claimed_from(outcome: Outcome) -> float:
    """The fewest false alarms at which a figure is stated; infinite where the sample allows none."""
    rates = [m for m in outcome.measurements if _is_rate(m)]
    if not any(m.value is None for m in rates):
        return 0.0
    return min((m.at["fpr"] for m in rates if m.value is not None), default=math.inf)


def _unclaimed_words(curves: Sequence[Curve], words: Strings) -> list[str]:
    """Where the curves may not be read, and that they are drawn faintly there."""
    bounds = {curve.claimed_from for curve in curves if curve.claimed_from > 0}
    if not bounds:
        return []
    if bounds == {math.inf}:
        return [words.plain("results.roc_all_faint")]
    fewest = ", ".join(percent(bound) for bound in sorted(bounds) if math.isfinite(bound))
    return [words.plain("results.roc_faint", fpr=fewest)]


def _chance(measurement: Measurement) -> float:
    """What is reached without the model: a guess, or the blind baseline where it does better."""
    guess = measurement.at.get("fpr", 0.5)
    return max(guess, guess if measurement.floor is None else measurement.floor)


def _floor_line(rates: Sequence[_Point]) -> np.ndarray | None:
    """Rows (fpr, tpr) of what is told without the model, where that is more than a guess; None where it is not."""
    known: dict[float, float] = {}
    for _, m in rates:
        if _is_rate(m) and m.value is not None:
            known[m.at["fpr"]] = max(_chance(m), known.get(m.at["fpr"], 0.0))
    if all(tpr <= fpr for fpr, tpr in known.items()):
        return None
    return np.array([*sorted(known.items()), (1.0, 1.0)])


def _cap_words(
    results: Results, part: list[tuple[Outcome, np.ndarray]], holds: bool, bounded: bool, words: Strings
) -> list[str]:
    """Whether a cap is drawn, and why not."""
    if holds:
        return [words.plain("results.roc_cap")]
    if not bounded:
        return []
    grants = next((s.grants for s in results.scenarios if s.name == part[0][0].scenario), ())
    mechanism = (results.settings.get("privacy") or {}).get("mechanism", "none")
    return [words.plain("results.roc_not_capped" if covers_updates(mechanism, grants) else "results.roc_no_cap")]


def _roc_caption(rates: Sequence[_Point], floored: bool, words: Strings) -> list[str]:
    """Which curves are clear of what is told without the model, each where its false alarms are fewest."""
    known = [p for p in rates if _is_rate(p.measurement) and p.measurement.interval and p.measurement.value is not None]
    beyond = words.plain("results.roc_floor_word" if floored else "results.roc_guessing")
    text = [words.plain("results.roc_floor")] if floored else []
    fewest: dict[str, Measurement] = {}
    for label, m in sorted(known, key=lambda point: -point.measurement.at["fpr"]):
        fewest[label] = m
    clear: dict[float, list[str]] = {}
    for label, m in fewest.items():
        if m.interval and m.interval.low > _chance(m):
            clear.setdefault(m.at["fpr"], []).append(label)
    for fpr, labels in sorted(clear.items()):
        text.append(words.plain("results.roc_clear", fpr=percent(fpr), labels=", ".join(labels), beyond=beyond))
    if fewest and not clear:
        text.append(_none_clear(rates, fewest, beyond, words))
    if refused := _refused(rates, fewest, words):
        text.append(refused)
    levels = {(m.interval.level, m.interval.over) for _, m in known if m.interval}
    text.append(
        words.plain(
            "results.roc_caption",
            level=", ".join(sorted({percent(level) for level, _ in levels})) or "confidence",
            over="".join(sorted({f" over {over}" for _, over in levels})),
        )
    )
    return text


def _none_clear(rates: Sequence[_Point], fewest: Mapping[str, Measurement], beyond: str, words: Strings) -> str:
    """No curve is clear at few false alarms; over all false alarms some may be, and then that is said."""
    fprs = ", ".join(percent(fpr) for fpr in sorted({m.at["fpr"] for m in fewest.values()}))
    areas = [p.label for p in rates if p.measurement.metric == "auc" and _clear_area(p.measurement)]
    if areas:
        return words.plain("results.roc_area_clear", fpr=fprs, labels=", ".join(areas), beyond=beyond)
    return words.plain("results.roc_none_clear", fpr=fprs, beyond=beyond)


def _clear_area(measurement: Measurement) -> bool:
    return measurement.interval is not None and measurement.interval.low > max(0.5, measurement.floor or 0.5)


def _refused(rates: Sequence[_Point], fewest: Mapping[str, Measurement], words: Strings) -> str:
    """Shares of false alarms at which no curve may be read, because the sample is too small."""
    stated = {m.at["fpr"] for m in fewest.values()}
    refused = [m for _, m in rates if _is_rate(m) and m.value is None and m.at["fpr"] not in stated]
    if not refused:
        return ""
    key = "results.roc_few_nonmembers" if all("non-members" in m.refused for m in refused) else "results.roc_few"
    return words.plain(key, fpr=", ".join(percent(fpr) for fpr in sorted({m.at["fpr"] for m in refused}, reverse=True)))


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
