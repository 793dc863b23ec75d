"""Severity against likelihood; what is not determined is hatched instead of left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditor.report.figures import canvas

LEVELS = (1, 2, 3, 4)


@dataclass(frozen=True)
class RiskMark:
    """One feared event of one actor: its letter and where it stands."""

    letter: str
    likelihood: int | None
    at_least: bool
    severity: int


@dataclass(frozen=True)
class RiskWords:
    """The texts on the figure; ``levels`` are the four names of the scale."""

    x_axis: str
    y_axis: str
    levels: tuple[str, ...]
    undetermined: str


def draw_risk(name: str, marks: Sequence[RiskMark], words: RiskWords) -> tuple[str, str]:
    """Both widths of the matrix."""

    def draw_on(drawing: Any, width_mm: float) -> None:
        axes = drawing.subplots()
        _grid(axes, words, narrow=width_mm < canvas.WIDE_MM)
        for level in sorted({mark.severity for mark in marks}):
            _hatch(axes, [mark for mark in marks if mark.severity == level], level)
        for (x, y), letters in _places(marks).items():
            axes.text(x, y, letters, ha="center", va="center", fontsize=11, fontweight=600, bbox=_PLATE)

    return canvas.draw(name, draw_on, heights_mm=(54.0, 68.0))


_PLATE = {"boxstyle": "round,pad=0.25", "facecolor": canvas.PAPER, "edgecolor": canvas.INK, "linewidth": 0.6}


def _grid(axes: Any, words: RiskWords, *, narrow: bool) -> None:
    from matplotlib.patches import Rectangle

    for x in LEVELS:
        for y in LEVELS:
            zone = (x >= 3) + (y >= 3)
            fill = (canvas.PAPER, canvas.FAINT, canvas.GRID)[zone]
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=fill, edgecolor=canvas.MUTED, linewidth=0.4))
    axes.set_xlim(0.5, 4.5)
    axes.set_ylim(0.5, 4.5)
    size = 7.2 if narrow else 8.5
    axes.set_xticks(LEVELS, labels=words.levels, fontsize=size)
    axes.set_yticks(LEVELS, labels=words.levels, fontsize=size, rotation=90 if narrow else 0, va="center")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(words.x_axis)
    axes.set_ylabel(words.y_axis)


def _hatch(axes: Any, marks: Sequence[RiskMark], severity: int) -> None:
    """Hatch every level that the likelihood may still reach."""
    from matplotlib.patches import Rectangle

    starts = [(m.likelihood or 0) + 1 for m in marks if m.at_least or m.likelihood is None]
    for x in range(min(starts, default=5), 5):
        axes.add_patch(
            Rectangle((x - 0.5, severity - 0.5), 1, 1, fill=False, hatch="////", edgecolor=canvas.MUTED, linewidth=0.4)
        )


def _places(marks: Sequence[RiskMark]) -> Mapping[tuple[float, float], str]:
    """Where each group of letters stands: in its cell, or across the row where no level is known."""
    groups: dict[tuple[float, float], list[str]] = {}
    for mark in marks:
        x = 2.5 if mark.likelihood is None else float(mark.likelihood)
        suffix = "?" if mark.likelihood is None else "+" if mark.at_least else ""
        groups.setdefault((x, float(mark.severity)), []).append(f"{mark.letter}{suffix}")
    return {place: _wrapped(letters) for place, letters in groups.items()}


def _wrapped(letters: Sequence[str]) -> str:
    return "\n".join(", ".join(letters[start : start + 3]) for start in range(0, len(letters), 3))
