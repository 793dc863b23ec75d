"""Shares with their intervals against what is reached without any attack, and against the limit fixed before."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auditor.report.figures import canvas
from auditor.report.formatting import percent

WIDE_CHARS, NARROW_CHARS = 100, 54


@dataclass(frozen=True)
class ShareRow:
    """One row: a share in [0, 1]."""

    label: str
    value: float
    low: float
    high: float
    floor: float | None
    limit: float | None


@dataclass(frozen=True)
class ShareWords:
    """The texts on the figure."""

    x_axis: str
    floor: str
    limit: str


def draw_shares(name: str, rows: Sequence[ShareRow], words: ShareWords) -> tuple[str, str]:
    """Both widths of the figure; the label stands above its row, so that it may be long."""
    lines = [sum(_wrap(row.label, width).count("\n") + 1 for row in rows) for width in (WIDE_CHARS, NARROW_CHARS)]
    wide, narrow = (14.0 + 9.0 * len(rows) + 3.6 * count for count in lines)

    def draw_on(drawing: Any, width_mm: float) -> None:
        axes = drawing.subplots()
        axes.set_xlim(0, 1)
        axes.set_ylim(len(rows) - 0.35, -0.75)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
        axes.set_xticks(ticks, labels=[percent(tick) for tick in ticks])
        axes.grid(True, axis="x")
        axes.set_axisbelow(True)
        axes.set_xlabel(words.x_axis)
        for index, row in enumerate(rows):
            _row(axes, index, row, NARROW_CHARS if width_mm < canvas.WIDE_MM else WIDE_CHARS)

    return canvas.draw(name, draw_on, heights_mm=(wide, narrow))


def _row(axes: Any, y: int, row: ShareRow, width: int) -> None:
    axes.plot([row.low, row.high], [y, y], color=canvas.BLUE, linewidth=2.2, solid_capstyle="butt", alpha=0.55)
    axes.plot([row.value], [y], marker="o", markersize=4.5, color=canvas.BLUE, linestyle="none")
    axes.annotate(
        _wrap(row.label, width),
        (0, y),
        xytext=(0, 7),
        textcoords="offset points",
        va="bottom",
        ha="left",
        fontsize=8,
    ).set_in_layout(False)
    if row.floor is not None:
        axes.plot([row.floor] * 2, [y - 0.17, y + 0.17], color=canvas.MUTED, linewidth=1.1, linestyle=(0, (1.5, 1)))
    if row.limit is not None:
        axes.plot([row.limit] * 2, [y - 0.17, y + 0.17], color=canvas.VERMILLION, linewidth=1.4)


def _wrap(label: str, width: int) -> str:
    return "\n".join(textwrap.wrap(label, width, break_long_words=True)) or label
