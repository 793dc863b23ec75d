"""How many provisions of each law pack have which status."""

from collections.abc import Mapping, Sequence
from typing import Any

from auditor.core.findings import ControlStatus
from auditor.report.figures import canvas

COLOURS = {
    ControlStatus.SUPPORTS: canvas.BLUE,
    ControlStatus.CONTRADICTS: canvas.VERMILLION,
    ControlStatus.INCONCLUSIVE: canvas.ORANGE,
    ControlStatus.STALE: canvas.PURPLE,
    ControlStatus.HUMAN_DECLARED: canvas.SKY,
    ControlStatus.NOT_TESTED: canvas.PAPER,
    ControlStatus.OUTSIDE_REACH: canvas.FAINT,
}
_HATCH = {ControlStatus.NOT_TESTED: "////", ControlStatus.STALE: "...."}
_PLATE = {"facecolor": canvas.PAPER, "edgecolor": "none", "pad": 0.8}
"""Under a number on a hatched bar, so that it can be read."""

_DARK = {ControlStatus.SUPPORTS, ControlStatus.CONTRADICTS}


def draw_controls(
    name: str, packs: Sequence[tuple[str, Mapping[ControlStatus, int]]], words: Mapping[ControlStatus, str], x_axis: str
) -> tuple[str, str]:
    """Both widths: one bar per pack, each part with its count, the key below in words."""
    present = [status for status in COLOURS if any(counts.get(status) for _, counts in packs)]

    def draw_on(drawing: Any, width_mm: float) -> None:
        axes = drawing.subplots()
        most = max(sum(counts.values()) for _, counts in packs)
        axes.set_xlim(0, 1.01 * most)  # the last bar ends inside the frame
        axes.set_ylim(len(packs) - 0.4, -0.8)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(x_axis)
        for y, (title, counts) in enumerate(packs):
            axes.annotate(title, (0, y), xytext=(0, 10), textcoords="offset points", va="bottom", fontsize=8.5)
            _bar(axes, y, counts, most, width_mm)
        _key(axes, present, words, width_mm)

    columns = 4, 2
    heights = [20.0 + 10.5 * len(packs) + 5.0 * -(-len(present) // n) for n in columns]
    return canvas.draw(name, draw_on, heights_mm=(heights[0], heights[1]))


def _bar(axes: Any, y: int, counts: Mapping[ControlStatus, int], most: int, width_mm: float) -> None:
    left = 0
    for status, colour in COLOURS.items():
        count = counts.get(status, 0)
        if not count:
            continue
        axes.barh(
            y, count, left=left, height=0.42, color=colour, edgecolor=canvas.MUTED, linewidth=0.4,
            hatch=_HATCH.get(status),
        )  # fmt: skip
        if count / most * width_mm > 5:
            axes.annotate(
                str(count), (left + count / 2, y), ha="center", va="center", fontsize=8,
                color=canvas.PAPER if status in _DARK else canvas.INK, bbox=_PLATE if status in _HATCH else None,
            )  # fmt: skip
        left += count


def _key(axes: Any, present: Sequence[ControlStatus], words: Mapping[ControlStatus, str], width_mm: float) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=COLOURS[s], edgecolor=canvas.MUTED, linewidth=0.4, hatch=_HATCH.get(s), label=words[s])
        for s in present
    ]
    axes.figure.legend(
        handles=handles, loc="outside lower left", ncols=4 if width_mm >= canvas.WIDE_MM else 2, frameon=False,
        fontsize=8, handlelength=1.2, handleheight=0.9, borderpad=0, columnspacing=1.2,
    )  # fmt: skip
