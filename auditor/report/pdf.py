"""The same page as PDF/A-3a: tagged, with bookmarks, and with the results attached."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from auditor.core.errors import AuditorError
from auditor.report.load import Evidence
from auditor.resources import folder

ATTACHED = "results.json"


def write_pdf(markup: str, evidence: Evidence) -> bytes:
    """Render ``markup`` to PDF; equal results give equal bytes on one machine.

    Raises:
        AuditorError: when the page asks for anything outside, or the renderer warns.
    """
    import weasyprint

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
    with _warnings_fail():
        data = document.write_pdf(
            pdf_variant="pdf/a-3a",
            pdf_identifier=bytes.fromhex(evidence.results.sha256)[:16],
            attachments=[attachment],
        )
    return bytes(data)


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
def _warnings_fail() -> Iterator[None]:
    """Collect what the renderer logs at warning level and above, and fail on it."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear = Ear(level=logging.WARNING)
    logger = logging.getLogger("weasyprint")
    logger.addHandler(ear)
    try:
        yield
    finally:
        logger.removeHandler(ear)
    if heard:
        raise AuditorError(
            f"The PDF renderer warned: {'; '.join(dict.fromkeys(heard))[:500]}",
            remedy="Report this as a fault of the tool, with results.json.",
        )
