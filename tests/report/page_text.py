"""What a reader sees on a page."""

import re
from html.parser import HTMLParser

SKIPPED = {"style", "title", "script"}


class Reader(HTMLParser):
    """Text, with tick labels of figures and hashes kept apart."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.hashes: list[str] = []
        self.spoken: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        for name in ("alt", "aria-label"):
            if values.get(name):
                self.spoken.append(str(values[name]))
        kind = tag
        if tag in SKIPPED:
            kind = "!skip"
        elif re.search(r"[xy]tick_", values.get("id") or ""):
            kind = "!tick"
        elif tag == "code" and values.get("class") == "hash":
            kind = "!hash"
        if tag not in ("br", "img", "meta", "wbr", "path", "use", "rect", "link"):
            self._open.append(f"{tag} {kind}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().split()[0] != tag:
            pass
        if tag in ("td", "th", "p", "li", "h1", "h2", "h3", "h4", "text", "div", "tspan", "summary", "option"):
            self.text.append(" ")

    def handle_data(self, data: str) -> None:
        kinds = {item.split()[1] for item in self._open}
        if "!hash" in kinds:
            self.hashes.append(data)
            self.text.append(" ")
        elif not kinds & {"!skip", "!tick"}:
            self.text.append(data)


def read(markup: str) -> Reader:
    """Parse a page."""
    reader = Reader()
    reader.feed(markup)
    return reader
