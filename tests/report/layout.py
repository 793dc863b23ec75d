"""Where things stand on the printed pages, read from the renderer's own boxes."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import weasyprint

from auditor.report.pdf import _fetcher
from auditor.resources import folder

PT = 0.75
"""Points in one CSS pixel."""


class Line(NamedTuple):
    """A piece of text on a page, in points from the upper left corner of the sheet."""

    page: int
    tag: str
    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float


class Sheet(NamedTuple):
    """One page: the box that content may fill, and the content's lower end."""

    left: float
    right: float
    top: float
    bottom: float
    filled: float


def laid_out(markup: str) -> tuple[list[Sheet], list[Line]]:
    """Every page and every piece of text of the printed report."""
    document = weasyprint.HTML(
        string=markup, url_fetcher=_fetcher(), base_url=folder("templates/report").as_uri()
    ).render()
    sheets, lines = [], []
    for number, sheet in enumerate(document.pages):
        box = sheet._page_box
        body = next(child for child in box.children if child.element_tag == "html")
        found = list(_lines(body, number))
        images = list(_replaced(body))
        filled = max([line.bottom for line in found] + images, default=0.0)
        left, top = (box.position_x + box.margin_left) * PT, (box.position_y + box.margin_top) * PT
        sheets.append(Sheet(left, left + box.width * PT, top, top + box.height * PT, filled))
        lines += found
    return sheets, lines


def _lines(box: Any, page: int, block: str = "") -> Iterator[Line]:
    text = getattr(box, "text", None)
    if isinstance(text, str):
        if text.strip():
            left, top = box.position_x * PT, box.position_y * PT
            right, bottom = left + box.width * PT, top + box.height * PT
            yield Line(page, block, text, left, top, right, bottom, box.style["font_size"] * PT)
        return
    tag = box.element_tag if re.fullmatch(r"h[1-6]|p|li|td|th|summary|figcaption", box.element_tag or "") else block
    for child in getattr(box, "children", ()) or ():
        yield from _lines(child, page, tag)


def _replaced(box: Any) -> Iterator[float]:
    """Lower ends of drawings."""
    if getattr(box, "replacement", None) is not None:
        yield (box.position_y + box.height) * PT
    for child in getattr(box, "children", ()) or ():
        yield from _replaced(child)
