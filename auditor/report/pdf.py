"""The same page as PDF/A-3a: tagged, with bookmarks, and with the results attached."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from markupsafe import escape

from auditor.core.errors import AuditorError, ExitCode
from auditor.report.load import Evidence
from auditor.report.strings import strings
from auditor.resources import folder

ATTACHED = "results.json"


def write_pdf(markup: str, evidence: Evidence) -> bytes:
    """Render ``markup`` to PDF; equal results give equal bytes on one machine.

    Raises:
        AuditorError: when the page asks for anything outside, or the renderer warns.
    """
    missing = _without_glyph(markup)
    if missing:
        markup = _without(markup, missing)
    data, warnings = _rendered(markup, evidence)
    if warnings:
        raise AuditorError(
            f"The PDF renderer warned: {'; '.join(dict.fromkeys(warnings))[:500]}",
            remedy="Report this as a fault of the tool, with results.json.",
            exit_code=ExitCode.BUG,
        )
    return data


_NO_GLYPH = re.compile(r"\.notdef glyph[^;]*\(U\+([0-9A-F]+)\)")
NOTE = "<!-- unprintable -->"


def _without_glyph(markup: str) -> set[str]:
    """Characters of the page that no font of this machine has, found by setting them alone."""
    from fontTools.ttLib import TTFont

    with TTFont(folder("templates/report/fonts") / "SourceSans3-Regular.ttf", lazy=True) as font:
        rare = {c for c in set(markup) - set(map(chr, font.getBestCmap())) if c.isprintable()}
    if not rare:
        return set()
    import weasyprint

    line = "".join(f"<p>{escape(character)}</p>" for character in sorted(rare))
    with _overheard() as warnings:
        weasyprint.HTML(string=f"<html><body>{line}", url_fetcher=_fetcher()).write_pdf(pdf_variant="pdf/a-3a")
    return {chr(int(found[1], 16)) for text in warnings for found in _NO_GLYPH.finditer(text)}


def _without(markup: str, missing: set[str]) -> str:
    """The page with a box for each character that no font of this machine has, and a note that says so.

    PDF/A allows no missing glyph; the attached results keep the text as it was written.
    """
    note = f'<p class="note">{escape(strings().plain("report.unprintable"))}</p>'
    return markup.translate({ord(character): "□" for character in missing}).replace(NOTE, note)


def _rendered(markup: str, evidence: Evidence) -> tuple[bytes, list[str]]:
    import weasyprint
    from weasyprint.urls import FatalURLFetchingError

    moment = _moment(evidence.results.run.finished)
    attachment = weasyprint.Attachment(
        string=evidence.raw,
        name=ATTACHED,
        description="The results that every number of this report comes from",
        created=moment,
        modified=moment,
        relationship="Data",
    )
    document = weasyprint.HTML(string=markup, url_fetcher=_fetcher(), base_url=folder("templates/report").as_uri())
    try:
        with _overheard() as warnings:
            data = document.write_pdf(
                pdf_variant="pdf/a-3a",
                pdf_identifier=bytes.fromhex(evidence.digest)[:16],
                attachments=[attachment],
            )
    except FatalURLFetchingError as error:
        raise AuditorError(f"The PDF was not written: {error}.", exit_code=ExitCode.BUG) from None
    return bytes(data), warnings


def _moment(text: str) -> datetime:
    """The end of the run; a fixed day where the results hold no date, so that bytes do not depend on the clock."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime(2000, 1, 1, tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _fetcher() -> Any:
    """A fetcher that knows the project's own fonts and inline data, and refuses everything else."""
    from weasyprint.urls import FatalURLFetchingError, URLFetcher

    fonts = folder("templates/report/fonts").as_uri() + "/"

    class OwnFilesOnly(URLFetcher):  # type: ignore[misc]
        """Refuses networks and files outside the template folder."""

        def fetch(self, url: str, headers: dict[str, str] | None = None) -> Any:
            inside = url.startswith(fonts) and ".." not in url
            if not inside and not url.startswith("data:image/svg+xml;base64,"):
                raise FatalURLFetchingError(f"the report asked for {url[:80]!r}")
            return super().fetch(url, headers)

    return OwnFilesOnly(allowed_protocols=("file", "data"), allow_redirects=False)


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """What the renderer logs at warning level and above."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear = Ear(level=logging.WARNING)
    logger = logging.getLogger("weasyprint")
    logger.addHandler(ear)
    try:
        yield heard
    finally:
        logger.removeHandler(ear)
