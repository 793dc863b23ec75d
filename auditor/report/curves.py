"""Sweeps as figures: how leakage follows one setting, and what that says in one sentence each."""

from collections.abc import Sequence

from auditor.config.sweeps import short_name
from auditor.core.findings import FindingStatus
from auditor.core.results import Results, Sweep
from auditor.policy.sweeps import Curve, CurvePoint, curves
from auditor.report.describe import ends, floor_text, key_name
from auditor.report.figures.canvas import Figure, Table
from auditor.report.figures.sweep import SweepLine, SweepMark, SweepWords, draw_sweep
from auditor.report.formatting import measured, number, percent, quantity
from auditor.report.strings import Strings

PER_FIGURE = 4


def sweep_figures(results: Results, words: Strings) -> list[Figure]:
    """One figure for each setting that was varied and each measure that its attacks have a limit on."""
    groups: dict[tuple[int, str], list[Curve]] = {}
    for curve in curves(results):
        groups.setdefault((results.sweeps.index(curve.sweep), curve.metric), []).append(curve)
    figures: list[Figure] = []
    for (index, _), group in groups.items():
        for start in range(0, len(group), PER_FIGURE):
            figures.append(_figure(f"sweep-{index}-{len(figures)}", group[start : start + PER_FIGURE], words))
    return figures


def _figure(name: str, group: Sequence[Curve], words: Strings) -> Figure:
    sweep = group[0].sweep
    setting = setting_words(sweep.setting, words)
    metric = key_name(group[0].metric, words)
    ticks = _ticks(group, words)
    lines = [SweepLine(_label(curve, group, words), _marks(curve, ticks)) for curve in group]
    now = _now(group)
    text = SweepWords(words.plain("sweep.x_axis", setting=setting), metric, tuple(ticks.values()), now)
    share = all(p.measurement.unit == "fraction" for curve in group for p in _known(curve) if p.measurement)
    wide, narrow = draw_sweep(name, lines, text, share=share)
    rows = tuple(_row(curve, point, group, ticks, words) for curve in group for point in _known(curve))
    levels = {
        percent(p.measurement.interval.level)
        for curve in group
        for p in _known(curve)
        if p.measurement and p.measurement.interval
    }
    return Figure(
        id=name,
        title=words.plain("sweep.title", metric=metric, setting=_lower(setting)),
        caption=" ".join(
            [
                *(_conclusion(curve, group, words) for curve in group),
                words.plain("sweep.caption", level=", ".join(sorted(levels)), scenario=_lower(sweep.title)),
                *([words.plain("sweep.mechanism", mechanism=word)] if (word := _mechanism(sweep, words)) else []),
            ]
        ),
        alt=words.plain(
            "sweep.alt",
            setting=_lower(setting),
            parts=" ".join(
                words.plain("sweep.alt_part", label=r[0], value=r[1], figure=r[2], status=r[5]) for r in rows
            ),
        ),
        wide=wide,
        narrow=narrow,
        table=_table(group, rows, setting, words),
    )


def _table(group: Sequence[Curve], rows: Sequence[tuple[str, ...]], setting: str, words: Strings) -> Table:
    """A row for each value; up to two curves stand beside each other, more of them below each other."""
    first, figure, floor, limit, status = words.get("sweep.columns")
    if len(group) > 2:
        return Table((first, setting, figure, floor, limit, status), tuple(rows), (34, 13, 20, 9, 9, 15))
    labels = list(dict.fromkeys(row[0] for row in rows))
    beside = {
        (row[0], row[1]): (row[2], words.plain("sweep.beside", floor=row[3], limit=row[4], status=row[5]))
        for row in rows
    }
    values = list(dict.fromkeys(row[1] for row in rows))
    cells = tuple(
        (value, *(part for label in labels for part in beside.get((label, value), ("–", "–")))) for value in values
    )
    heads = [part for label in labels for part in (label, words.plain("sweep.beside_head"))]
    return Table((setting, *heads), cells, (16, *([84 // len(heads)] * len(heads))))


def setting_words(setting: str, words: Strings) -> str:
    """The setting in plain words; its name where the language has none."""
    key = f"sweep.settings.{short_name(setting).replace('.', '_')}"
    return words.plain(key) if words.has(key) else setting


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _mechanism(sweep: Sweep, words: Strings) -> str:
    return words.word("mechanism", sweep.mechanism) if sweep.mechanism else ""


def _known(curve: Curve) -> list[CurvePoint]:
    audited = [curve.audited] if curve.audited is not None and curve.declared is None else []
    return [*audited, *(point for point in curve.points if point.measurement is not None)]


def _ticks(group: Sequence[Curve], words: Strings) -> dict[float | None, str]:
    """Value to its label, from the left; None stands for the audit itself where it has no value."""
    ticks: dict[float | None, str] = {}
    if any(curve.audited is not None and curve.declared is None for curve in group):
        ticks[None] = words.plain("sweep.audited")
    for value in sorted({point.value for curve in group for point in curve.points if point.value is not None}):
        ticks[value] = number(value) + (f"\n{words.plain('sweep.now')}" if value == group[0].declared else "")
    return ticks


def _now(group: Sequence[Curve]) -> int | None:
    values = list(_order(group))
    return values.index(group[0].declared) if group[0].declared in values else None


def _order(group: Sequence[Curve]) -> list[float | None]:
    first: list[float | None] = [None] if any(c.audited is not None and c.declared is None for c in group) else []
    return [*first, *sorted({point.value for curve in group for point in curve.points if point.value is not None})]


def _marks(curve: Curve, ticks: dict[float | None, str]) -> tuple[SweepMark, ...]:
    places = list(ticks)
    found = []
    for point in _known(curve):
        m = point.measurement
        if m is None or m.value is None:
            continue
        low, high = (m.interval.low, m.interval.high) if m.interval else (m.value, m.value)
        found.append(SweepMark(places.index(point.value), m.value, low, high, m.floor, point.limit))
    return tuple(found)


def _label(curve: Curve, group: Sequence[Curve], words: Strings) -> str:
    state = words.plain(f"results.state.{curve.state.value}") if curve.state else ""
    if len({other.attack for other in group}) > 1:
        return f"{curve.title}, {state}" if state else curve.title
    return state[:1].upper() + state[1:] if state else curve.title


def _row(
    curve: Curve, point: CurvePoint, group: Sequence[Curve], ticks: dict[float | None, str], words: Strings
) -> tuple[str, ...]:
    m = point.measurement
    assert m is not None
    figure = f"{measured(m)} ({' to '.join(ends(m))})" if m.interval else measured(m)
    limit = "–" if point.limit is None else quantity(point.limit, m.unit)
    status = "–" if point.limit is None else words.word("finding", point.status.value)
    return _label(curve, group, words), ticks[point.value].replace("\n", " "), figure, floor_text(m), limit, status


def _conclusion(curve: Curve, group: Sequence[Curve], words: Strings) -> str:
    """At which of the tried values the whole interval stays within the limit."""
    label = _label(curve, group, words)
    within = [number(p.value) for p in curve.within if p.value is not None]
    if all(point.limit is None for point in curve.points):
        return words.plain("sweep.no_limit", label=label)
    if not within:
        return words.plain("sweep.never", label=label)
    if len(within) == sum(point.status != FindingStatus.NOT_RUN for point in curve.points):
        return words.plain("sweep.always", label=label)
    return words.plain("sweep.within", label=label, values=", ".join(within))
