"""True positives against false alarms of membership inference, on logarithmic axes, with the cap of the accounting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.report.figures import canvas
from auditor.report.formatting import percent

Array = NDArray[np.float64]


_FAR = 0.25
"""False-positive rate from which a name stands to the left of its line."""


@dataclass(frozen=True)
class Curve:
    """One attack: ``rows`` (fpr, tpr, tpr_low, tpr_high) with its name.

    Attributes:
        claimed_from: The fewest false alarms at which the run states a figure of it; to the left it is drawn faintly
            and without its band. Infinite where no figure is stated.
    """

    label: str
    rows: Array
    claimed_from: float = 0.0


@dataclass(frozen=True)
class RocWords:
    """The texts on the figure."""

    x_axis: str
    y_axis: str
    guessing: str
    cap: str
    floor: str = ""


def draw_roc(
    name: str, curves: Sequence[Curve], cap: Array | None, words: RocWords, *, floor: Array | None = None
) -> tuple[str, str]:
    """Both widths of the figure; ``cap`` has rows (fpr, tpr), and so has ``floor``: what is told without the model."""
    least = _floor(curves)

    def draw_on(drawing: Any, width_mm: float) -> None:
        axes = drawing.subplots()
        _frame(axes, least, words)
        _unclaimed(axes, least, min((curve.claimed_from for curve in curves), default=0.0))
        axes.plot([least, 1], [least, 1], color=canvas.MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(
            words.guessing, (1, least**0.1), xytext=(-3, -9), textcoords="offset points", ha="right", va="top",
            color=canvas.MUTED, fontsize=8,
        ).set_in_layout(False)  # fmt: skip
        if floor is not None:
            _blind(axes, floor, least, words.floor)
        if cap is not None:
            _cap(axes, cap, least, words.cap)
        for index, curve in enumerate(curves):
            _curve(axes, curve, least, canvas.SERIES[index % len(canvas.SERIES)])
        _labels(axes, curves, least)

    return canvas.draw(name, draw_on, heights_mm=(66.0, 84.0))


def _floor(curves: Sequence[Curve]) -> float:
    smallest = min((float(c.rows[c.rows[:, 0] > 0, 0].min()) for c in curves if (c.rows[:, 0] > 0).any()), default=1e-3)
    return float(10 ** np.floor(np.log10(min(max(smallest, 1e-6), 1e-2))))


def _frame(axes: Any, floor: float, words: RocWords) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(floor, 1)
    axes.set_ylim(floor, 1.15)
    ticks = 10.0 ** np.arange(round(np.log10(floor)), 1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, labels=[percent(float(tick)) for tick in ticks])
    axes.minorticks_off()
    axes.grid(True)
    axes.set_axisbelow(True)
    axes.set_xlabel(words.x_axis)
    axes.set_ylabel(words.y_axis)


def _unclaimed(axes: Any, least: float, claimed_from: float) -> None:
    """A grey ground where the sample lets no figure be stated."""
    if claimed_from > least:
        axes.axvspan(least, min(claimed_from, 1.0), color=canvas.FAINT, linewidth=0, zorder=0)


def _blind(axes: Any, floor: Array, least: float, label: str) -> None:
    """What is told without the model, as a dash-dotted line; its name stands to its left, where there is room."""
    axes.plot(floor[:, 0], floor[:, 1], color=canvas.MUTED, linewidth=1.0, linestyle=(0, (6, 2, 1, 2)))
    room = floor[0, 0] >= 10 * least
    axes.annotate(
        label, (floor[0, 0], floor[0, 1]), xytext=(-4 if room else 2, 3), textcoords="offset points",
        ha="right" if room else "left", va="bottom", color=canvas.MUTED, fontsize=8,
    ).set_in_layout(False)  # fmt: skip


def _cap(axes: Any, cap: Array, floor: float, label: str) -> None:
    rows = cap[(cap[:, 0] >= floor) & (cap[:, 1] > 0)]
    if not len(rows):
        return
    axes.plot(rows[:, 0], rows[:, 1], color=canvas.INK, linewidth=1.1, linestyle=(0, (1, 1.4)))
    place = rows[int(np.argmin(np.abs(np.log(rows[:, 0]) - 0.9 * np.log(floor))))]
    axes.annotate(
        label, (place[0], place[1]), xytext=(0, 4), textcoords="offset points", ha="left", va="bottom", fontsize=8
    ).set_in_layout(False)


def _curve(axes: Any, curve: Curve, floor: float, colour: str) -> None:
    """The line with its band where figures are stated; the rest as a faint line alone."""
    seen = curve.rows[curve.rows[:, 0] > 0]
    stated = seen[seen[:, 0] >= curve.claimed_from * (1 - 1e-9)]
    low = np.clip(stated[:, 2], floor / 10, 1)
    axes.fill_between(stated[:, 0], low, np.clip(stated[:, 3], floor / 10, 1), color=colour, alpha=0.16, linewidth=0)
    axes.plot(stated[:, 0], np.where(stated[:, 1] > 0, stated[:, 1], np.nan), color=colour)
    faint = seen[: len(seen) - len(stated) + 1]
    if len(stated) < len(seen):
        axes.plot(faint[:, 0], np.where(faint[:, 1] > 0, faint[:, 1], np.nan), color=colour, linewidth=0.6, alpha=0.45)


def _labels(axes: Any, curves: Sequence[Curve], floor: float) -> None:
    """Names below the diagonal, each joined to its curve by a hairline that crosses no other name."""
    decades = -np.log10(floor)
    for index, curve in enumerate(curves):
        rank = len(curves) - index
        x = 10 ** (-decades * (0.62 - 0.075 * min(index, 6)))
        y = floor * 10 ** (decades * 0.062 * (index + 0.75))
        seen = curve.rows[(curve.rows[:, 0] > 0) & (curve.rows[:, 1] > 0)]
        if not len(seen):
            continue
        x = max(x, float(seen[0, 0]))  # a curve of few scores may begin far to the right
        height = float(np.interp(np.log(x), np.log(seen[:, 0]), seen[:, 1]))
        colour = canvas.SERIES[index % len(canvas.SERIES)]
        axes.plot([x, x], [y, height], color=colour, linewidth=0.5)
        axes.plot([x], [height], marker="o", markersize=3.2, color=colour, linestyle="none", zorder=5 + rank)
        axes.annotate(
            curve.label,
            (x, y),
            xytext=(4 if x < _FAR else -4, 0),
            textcoords="offset points",
            va="center",
            ha="left" if x < _FAR else "right",
            fontsize=8,
        ).set_in_layout(False)
