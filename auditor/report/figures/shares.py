"""Shares with their intervals against what is reached without any attack, and against the limit fixed before."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auditor.report.figures import canvas
from auditor.report.formatting import percent

LINE_MM = 3.6
BAR_MM = 3.8
FRAME_MM = 12.5
WIDE_CHARS, NARROW_CHARS = 105, 56


@dataclass(frozen=True)
class ShareRow:
    """One row: a share in [0, 1]."""

    label: str
    value: float
    low: float
    high: float
    floor: float | None
    limit: float | None


def draw_shares(name: str, rows: Sequence[ShareRow], x_axis: str) -> tuple[str, str]:
    """Both widths of the figure; each label stands above its bar, so that it may be long."""

    def draw_on(drawing: Any, width_mm: float) -> None:
        axes = drawing.subplots()
        labels = _labels(rows, width_mm)
        axes.set_xlim(0, 1)
        axes.set_ylim(_height(labels), 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
        axes.set_xticks(ticks, labels=[percent(tick) for tick in ticks])
        axes.grid(True, axis="x")
        axes.set_axisbelow(True)
        axes.set_xlabel(x_axis)
        top = 0.0
        for row, label in zip(rows, labels, strict=True):
            text_mm = LINE_MM * len(label)
            axes.text(0, top + 0.6, "\n".join(label), va="top", fontsize=8, bbox=_PLATE, zorder=1).set_in_layout(False)
            _bar(axes, top + text_mm + BAR_MM / 2, row)
            top += text_mm + BAR_MM

    heights = [FRAME_MM + _height(_labels(rows, width)) for width in (canvas.WIDE_MM, canvas.NARROW_MM)]
    return canvas.draw(name, draw_on, heights_mm=(heights[0], heights[1]))


_PLATE = {"facecolor": canvas.PAPER, "edgecolor": "none", "pad": 0.3}


def _labels(rows: Sequence[ShareRow], width_mm: float) -> list[list[str]]:
    width = WIDE_CHARS if width_mm >= canvas.WIDE_MM else NARROW_CHARS
    return [textwrap.wrap(row.label, width) or [row.label] for row in rows]


def _height(labels: Sequence[Sequence[str]]) -> float:
    return sum(LINE_MM * len(label) + BAR_MM for label in labels)


def _bar(axes: Any, y: float, row: ShareRow) -> None:
    axes.plot([row.low, row.high], [y, y], color=canvas.BLUE, linewidth=2.2, solid_capstyle="butt", alpha=0.55)
    axes.plot([row.value], [y], marker="o", markersize=4.5, color=canvas.BLUE, linestyle="none", clip_on=False)
    if row.floor is not None:
        axes.plot([row.floor] * 2, [y - 1.2, y + 1.2], color=canvas.INK, linewidth=1.2, linestyle=(0, (1.5, 1)))
    if row.limit is not None:
        axes.plot([row.limit] * 2, [y - 1.2, y + 1.2], color=canvas.VERMILLION, linewidth=1.5)
