"""The common look of all figures, and their way to SVG."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from auditor.resources import folder

WIDE_MM = 150.0
NARROW_MM = 84.0

INK = "#1b1b1d"
MUTED = "#5a5a60"
GRID = "#dcdce0"
FAINT = "#f1f1f4"
PAPER = "#ffffff"
BLUE = "#0072b2"
SKY = "#56b4e9"
GREEN = "#009e73"
ORANGE = "#e69f00"
VERMILLION = "#d55e00"
PURPLE = "#cc79a7"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)

VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    FAINT: "var(--faint)",
    PAPER: "var(--paper)",
    BLUE: "var(--blue)",
    SKY: "var(--sky)",
    GREEN: "var(--green)",
    ORANGE: "var(--orange)",
    VERMILLION: "var(--vermillion)",
    PURPLE: "var(--purple)",
}

_RC: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "Source Sans 3",
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.5,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": 8.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.4,
    "grid.color": GRID,
    "grid.linewidth": 0.4,
    "hatch.color": MUTED,
    "hatch.linewidth": 0.4,
    "mathtext.default": "regular",
}


@dataclass(frozen=True)
class Table:
    """The data of a figure, for readers who do not see it; ``widths`` are percentages."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class Figure:
    """One figure in two widths.

    Attributes:
        id: Anchor.
        title: What is shown.
        caption: What to conclude, and how the band was made.
        alt: The same for readers who do not see it.
        wide: SVG for print and wide screens, plain colours.
        narrow: SVG for narrow screens, plain colours.
        table: The figures behind the figure.
    """

    id: str
    title: str
    caption: str
    alt: str
    wide: str
    narrow: str
    table: Table


Draw = Callable[[Any, float], None]


def draw(name: str, draw_on: Draw, *, heights_mm: tuple[float, float]) -> tuple[str, str]:
    """Draw a figure in both widths; ``draw_on(figure, width_mm)`` adds the axes."""
    wide = _svg(f"{name}-w", draw_on, WIDE_MM, heights_mm[0])
    narrow = _svg(f"{name}-n", draw_on, NARROW_MM, heights_mm[1])
    return wide, narrow


def themed(svg: str) -> str:
    """The same SVG with colours that follow the page's light or dark mode."""
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: VARIABLES.get(found[0], found[0]), svg)


@contextmanager
def _look() -> Iterator[None]:
    import matplotlib as mpl
    from matplotlib import font_manager

    known = {entry.name for entry in font_manager.fontManager.ttflist}
    if "Source Sans 3" not in known:
        for path in sorted(folder("templates/report/fonts").glob("*.ttf")):
            font_manager.fontManager.addfont(str(path))
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def _svg(name: str, draw_on: Draw, width_mm: float, height_mm: float) -> str:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing

    with _look(), rc_context({"svg.hashsalt": name}):
        drawing = Drawing(figsize=(width_mm / 25.4, height_mm / 25.4), layout="constrained")
        drawing.patch.set_alpha(0)
        draw_on(drawing, width_mm)
        out = io.StringIO()
        FigureCanvasSVG(drawing).print_svg(out, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _bare(out.getvalue(), name)


def _bare(text: str, name: str) -> str:
    """The ``<svg>`` element alone: no declaration, no metadata, ids that are unique on the page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*|<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = text.replace("<svg ", '<svg stroke-linejoin="round" stroke-linecap="butt" ', 1)
    text = re.sub(r'\bid="([^"]+)"', lambda m: f'id="{name}-{m[1]}"', text)
    text = re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{name}-{m[1]})", text)
    text = re.sub(r'(xlink:href|href)="#([^"]+)"', lambda m: f'{m[1]}="#{name}-{m[2]}"', text)
    return text.strip()
