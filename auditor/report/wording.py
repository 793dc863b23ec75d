"""The tool's own text claims no more than was measured: some words are refused, whoever asks for them.

Declarations of people, titles of papers and words of the law are quotations and stay as they are; the page marks them
as such (``q``, ``cite``, ``class="law"``).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser

from auditor.core.errors import AuditorError, ExitCode

REFUSED = re.compile(
    r"\b(compliant|certif(?:y|ied|ies|icate|ication)|guarante\w*|anonym(?:ous|ously|ised|ized)|safe|safely"
    r"|gdpr-proof|approved by|passes the (?:eu )?ai act)\b",
    re.IGNORECASE,
)
QUOTING = frozenset({"q", "cite", "style", "title", "script"})
VOID = frozenset({"br", "img", "meta", "wbr", "link", "hr", "input", "col", "path", "use", "rect"})
SPOKEN = ("alt", "aria-label", "content")


@dataclass(frozen=True)
class Overclaim:
    """A refused word in its sentence."""

    word: str
    sentence: str


def overclaims(text: str) -> list[Overclaim]:
    """Refused words in plain text; quotations in “…” do not count."""
    own = re.sub(r"“[^”]*”", "“…”", text)
    return [Overclaim(found[0], _around(own, found)) for found in REFUSED.finditer(own)]


def page_overclaims(markup: str) -> list[Overclaim]:
    """Refused words in the tool's own text of a page, alternative texts included."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    return overclaims("".join(reader.heard))


def refuse_overclaims(found: Iterable[Overclaim], where: str) -> None:
    """Stop where the tool would claim too much.

    Raises:
        AuditorError: naming the first word and its sentence.
    """
    first = next(iter(found), None)
    if first is not None:
        raise AuditorError(
            f"{where} would say {first.word!r} in the tool's own words: …{first.sentence}…",
            remedy="Reword the scenario or attack that says so; what people declare belongs into the audit file.",
            exit_code=ExitCode.BUG,
        )


def _around(text: str, found: re.Match[str]) -> str:
    return " ".join(text[max(0, found.start() - 60) : found.end() + 40].split())


class _Reader(HTMLParser):
    """Collects text outside of quoting elements."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.heard: list[str] = []
        self._open: list[tuple[str, bool]] = []

    @property
    def _quoted(self) -> bool:
        return any(quoting for _, quoting in self._open)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if not self._quoted:
            self.heard += [f" {values[name]} " for name in SPOKEN if values.get(name)]
        if tag not in VOID:
            quoting = tag in QUOTING or "law" in (values.get("class") or "").split()
            self._open.append((tag, quoting))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            opened, _ = self._open.pop()
            if opened == tag:
                break
        self.heard.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._quoted:
            self.heard.append(data)
