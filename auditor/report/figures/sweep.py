"""Leakage over the values of one setting, each point beside its floor and its limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auditor.report.figures import canvas
from auditor.report.formatting import percent

SERIES = (canvas.BLUE, canvas.GREEN, canvas.PURPLE, canvas.ORANGE)
"""Without the colour of the limit."""

HALF_TICK = 0.13
SPREAD = 0.34
"""Part of the room of one value over which the points of several curves are spread."""


@dataclass(frozen=True)
class SweepMark:
    """One point: ``at`` counts the values from the left; ``value`` and the rest are shares, or in ``unit``."""

    at: int
    value: float
    low: float
    high: float
    floor: float | None
    limit: float | None


@dataclass(frozen=True)
class SweepLine:
    """One attack on one state of the model."""

    label: str
    marks: tuple[SweepMark, ...]


@dataclass(frozen=True)
class SweepWords:
    """The texts on the figure; ``ticks`` are the values in order, ``now`` the place of the audited one."""

    x_axis: str
    y_axis: str
    ticks: tuple[str, ...]
    now: int | None


def draw_sweep(name: str, lines: Sequence[SweepLine], words: SweepWords, *, share: bool) -> tuple[str, str]:
    """Both widths; values stand at equal distances, for they often differ by powers."""

    def draw_on(drawing: Any, width_mm: float) -> None:
        axes = drawing.subplots()
        _frame(axes, words, share=share)
        for index, line in enumerate(lines):
            shift = SPREAD * (index - (len(lines) - 1) / 2) / max(1, len(lines) - 1)
            _line(axes, line, shift if len(lines) > 1 else 0.0, SERIES[index % len(SERIES)])
        _names(axes, lines, narrow=width_mm < canvas.WIDE_MM)

    return canvas.draw(name, draw_on, heights_mm=(56.0, 66.0))


def _frame(axes: Any, words: SweepWords, *, share: bool) -> None:
    axes.set_xlim(-0.5, len(words.ticks) - 0.5)
    axes.set_xticks(range(len(words.ticks)), labels=words.ticks)
    if share:
        axes.set_ylim(0, 1.02)
        ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
        axes.set_yticks(ticks, labels=[percent(tick) for tick in ticks])
    if words.now is not None:
        axes.axvspan(words.now - 0.5, words.now + 0.5, color=canvas.FAINT, linewidth=0, zorder=0)
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel(words.x_axis)
    axes.set_ylabel(words.y_axis)


def _line(axes: Any, line: SweepLine, shift: float, colour: str) -> None:
    x = [mark.at + shift for mark in line.marks]
    axes.plot(x, [mark.value for mark in line.marks], color=colour, linewidth=0.8, alpha=0.6)
    for place, mark in zip(x, line.marks, strict=True):
        axes.plot([place, place], [mark.low, mark.high], color=colour, linewidth=2.2, alpha=0.45, solid_capstyle="butt")
        axes.plot([place], [mark.value], marker="o", markersize=4.2, color=colour, linestyle="none", zorder=4)
        ends = [place - HALF_TICK, place + HALF_TICK]
        if mark.floor is not None:
            axes.plot(ends, [mark.floor] * 2, color=canvas.INK, linewidth=1.2, linestyle=(0, (1.5, 1)))
        if mark.limit is not None:
            axes.plot(ends, [mark.limit] * 2, color=canvas.VERMILLION, linewidth=1.5)


def _names(axes: Any, lines: Sequence[SweepLine], *, narrow: bool) -> None:
    """The names in the colours of their curves, below each other in the corner that points leave free."""
    for index, line in enumerate(lines):
        colour = SERIES[index % len(SERIES)]
        y = 0.07 + 0.1 * (len(lines) - 1 - index)
        axes.plot([0.015], [y], marker="o", markersize=4.2, color=colour, transform=axes.transAxes)
        axes.text(
            0.035 if not narrow else 0.05, y, line.label, transform=axes.transAxes, fontsize=8, va="center_baseline",
        ).set_in_layout(False)  # fmt: skip
