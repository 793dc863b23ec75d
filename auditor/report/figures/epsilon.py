"""Epsilon after each federated round, with its bracket and the claimed value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auditor.core.privacy import RoundEpsilon
from auditor.report.figures import canvas


@dataclass(frozen=True)
class EpsilonWords:
    """The texts on the figure."""

    x_axis: str
    y_axis: str
    accounted: str
    claimed: str


def draw_epsilon(
    name: str, rounds: Sequence[RoundEpsilon], claimed: float | None, words: EpsilonWords
) -> tuple[str, str]:
    """Both widths of the figure."""
    x = [row.round for row in rounds]
    low = [row.lower for row in rounds]
    high = [row.upper for row in rounds]

    def draw_on(drawing: Any, width_mm: float) -> None:
        axes = drawing.subplots()
        axes.set_xlim(0, x[-1] * 1.02)
        axes.set_ylim(0, max(high[-1], claimed or 0) * 1.22)
        axes.grid(True, axis="y")
        axes.set_axisbelow(True)
        axes.fill_between(x, low, high, color=canvas.BLUE, alpha=0.2, linewidth=0)
        axes.plot(x, high, color=canvas.BLUE)
        axes.plot([x[-1]], [high[-1]], marker="o", markersize=3.5, color=canvas.BLUE)
        axes.annotate(
            words.accounted,
            (x[-1], high[-1]),
            xytext=(0, 6),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=8,
        )
        if claimed is not None:
            axes.axhline(claimed, color=canvas.VERMILLION, linewidth=1.0, linestyle=(0, (4, 3)))
            below = claimed < 0.8 * high[-1]
            axes.annotate(
                words.claimed,
                (x[-1] if below else 0, claimed),
                xytext=(0 if below else 4, 3),
                textcoords="offset points",
                ha="right" if below else "left",
                va="bottom",
                fontsize=8,
            )
        axes.set_xlabel(words.x_axis)
        axes.set_ylabel(words.y_axis)

    return canvas.draw(name, draw_on, heights_mm=(54.0, 62.0))
