"""From a run directory to its report."""

from collections.abc import Sequence
from pathlib import Path

from auditor.core.errors import AuditorError
from auditor.report.html import page
from auditor.report.load import Evidence, load_evidence
from auditor.report.pdf import write_pdf
from auditor.report.wording import page_overclaims, refuse_overclaims
from auditor.store.atomic import make_folder, write_atomic

FORMATS = ("html", "pdf")


def render(run_dir: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write ``release/report.html``, ``release/report.pdf`` and ``release/evidence.json``.

    Returns:
        The files that were written, the report first.

    Raises:
        AuditorError: for an unknown format, or a run that cannot be read or written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise AuditorError(f"{unknown[0]!r} is not a format.", remedy=f"Choose from {', '.join(FORMATS)}.")
    evidence = load_evidence(run_dir)
    files = {f"report.{name}": _rendered(evidence, name) for name in dict.fromkeys(formats)}
    files["evidence.json"] = evidence.raw
    return [_write(run_dir / "release", name, data) for name, data in files.items()]


def _rendered(evidence: Evidence, name: str) -> bytes:
    markup = page(evidence, printed=name == "pdf")
    refuse_overclaims(page_overclaims(markup), f"report.{name}")
    return write_pdf(markup, evidence) if name == "pdf" else markup.encode("utf-8")


def _write(folder: Path, name: str, data: bytes) -> Path:
    make_folder(folder)
    write_atomic(folder / name, data)
    return folder / name
