"""Where a run differs from what it should be, in words that a reader of the report knows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from itertools import islice, zip_longest
from typing import Any, TypeGuard

from auditor.report.check import differences

SHOWN = 8
"""So many differences are told; the others are counted."""

_ROWS = {
    "findings": "finding",
    "claims": "statement",
    "coverage": "attack class",
    "risks": "risk",
    "controls": "provision",
    "catalogues": "law pack",
}
_AROUND = 45


def told(found: Iterator[str]) -> tuple[str, ...]:
    """The first differences, and how many more there are."""
    lines = list(found)
    more = len(lines) - SHOWN
    return (*lines[:SHOWN], *((f"and {more:,} more differences",) if more > 0 else ()))


def derived_differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the results against those that follow from the measurements, by what each row is about."""
    for key, noun in _ROWS.items():
        now, again = _by_name(found[key]), _by_name(expected[key])
        for name in (name for name in now if name not in again):
            yield f"the {noun} '{name}' is in the results and is not expected there"
        for name in (name for name in again if name not in now):
            yield f"the {noun} '{name}' is expected and is not in the results"
        for name in (name for name in now if name in again):
            yield from _in_row(f"the {noun} '{name}'", now[name], again[name])


def _by_name(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    named: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        name = str(row.get("id") or row.get("name") or f"{row.get('event')} ({row.get('actor')})")
        if row.get("catalogue"):
            name = f"{row['catalogue']} {name}"
        count = sum(known == name or known.startswith(f"{name} #") for known in named)
        named[f"{name} #{count + 1}" if count else name] = row
    return named


def _in_row(subject: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    for field in sorted(found.keys() | expected.keys()):
        one, other = found.get(field), expected.get(field)
        if one == other:
            continue
        words = f"{field.replace('_', ' ')} of {subject}"
        if isinstance(one, str) and isinstance(other, str):
            yield texts(f"the {words}", one, other)
        elif _are_names(one) and _are_names(other):
            yield from _lists(words, one, other)
        elif isinstance(one, list | dict) or isinstance(other, list | dict):
            yield from differences(one, other, words)
        else:
            yield f"the {words} is {_plain(one)}; {_plain(other)} is expected"


def _are_names(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _lists(words: str, found: list[str], expected: list[str]) -> Iterator[str]:
    added = [item for item in found if item not in expected]
    missing = [item for item in expected if item not in found]
    if added:
        yield f"the {words} names {', '.join(map(_quoted, added[:3]))}, which is not expected"
    if missing:
        yield f"the {words} lacks {', '.join(map(_quoted, missing[:3]))}"
    if not added and not missing:
        yield f"the {words} has another order or number of entries than expected"


def _plain(value: Any) -> str:
    if value is None:
        return "nothing"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def texts(subject: str, found: str, expected: str) -> str:
    """Two texts, each from shortly before the place where they part."""
    place = next((k for k, (a, b) in enumerate(zip_longest(found, expected)) if a != b), 0)
    return f"{subject} reads {_quoted(_part(found, place))}; {_quoted(_part(expected, place))} is expected"


def _part(text: str, place: int) -> str:
    start, stop = max(0, place - _AROUND), place + _AROUND
    inside = " ".join(text[start:stop].split())
    return f"{'…' if start else ''}{inside}{'…' if stop < len(text) else ''}"


def _quoted(text: str) -> str:
    return f"“{text}”" if text else "nothing"


class _Paragraphs(HTMLParser):
    """The text of a page, a line for each block."""

    _BLOCKS = frozenset({"p", "li", "h1", "h2", "h3", "h4", "tr", "figcaption", "div", "section", "svg"})

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = [""]
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("style", "script")
        if tag in self._BLOCKS:
            self.lines.append("")
        elif tag in ("td", "th", "text"):
            self.lines[-1] += " "

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")
        if tag in self._BLOCKS:
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.lines[-1] += data


def page_differences(found: str, expected: str) -> tuple[str, ...]:
    """What a page says against what it should say; its markup only where the words are the same."""
    now, again = _lines(found), _lines(expected)
    pairs = ((a, b) for a, b in zip_longest(now, again, fillvalue="") if a != b)
    lines = tuple(texts("the page", a, b) for a, b in islice(pairs, 1))
    return lines or ("the words are the same; markup, style or drawings are not",)


def _lines(markup: str) -> list[str]:
    reader = _Paragraphs()
    reader.feed(markup)
    return [text for line in reader.lines if (text := re.sub(r"\s+", " ", line).strip())]
