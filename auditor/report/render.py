"""From a run directory to its report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from auditor.core.errors import AuditorError
from auditor.core.results import Results
from auditor.policy.decisions import Decided
from auditor.report.drawings import Figures, draw_figures
from auditor.report.exports.card import model_card
from auditor.report.exports.gate import intoto, junit, sarif
from auditor.report.exports.oscal import oscal
from auditor.report.exports.pia import pia
from auditor.report.html import page
from auditor.report.leakcheck import read_fingerprints, refuse_leaks, require_fingerprints
from auditor.report.load import Evidence, load_evidence
from auditor.report.pdf import write_pdf
from auditor.report.signing import discard_signatures, refuse_signed
from auditor.report.strings import Strings, strings
from auditor.report.wording import page_overclaims, refuse_overclaims
from auditor.store.atomic import make_folder, write_atomic
from auditor.store.fingerprints import Fingerprints

FORMATS = ("html", "pdf")


class Export(Protocol):
    """Makes one file from the results, and from what people decided about them."""

    def __call__(self, results: Results, words: Strings, decided: Decided | None = None) -> bytes:
        """The bytes of the file."""


def _pia(results: Results, words: Strings, decided: Decided | None = None) -> bytes:
    """An evaluation is for people to enter in that software; decisions about this run are no part of the draft."""
    return pia(results, words)


EXPORTS: dict[str, tuple[str, Export]] = {
    "pia": ("pia.json", _pia),
    "oscal": ("oscal-assessment-results.json", oscal),
    "junit": ("junit.xml", junit),
    "sarif": ("findings.sarif", sarif),
    "intoto": ("statement.intoto.json", intoto),
    "card": ("model-card.md", model_card),
}


UNCHECKED = "NOT-COMPARED-WITH-DATA.txt"


def render(
    run_dir: Path,
    formats: Sequence[str] = FORMATS,
    *,
    compare_with_data: bool = True,
    discard: bool = False,
) -> list[Path]:
    """Write ``release/report.html``, ``release/report.pdf`` and ``release/evidence.json``, and the exports asked for.

    Args:
        run_dir: The run.
        formats: ``html``, ``pdf``, and names of :data:`EXPORTS`. Exports that the release holds already are always
            written again, so that none speaks of other results or decisions than the rest.
        compare_with_data: False where the fingerprints of the data are not at hand, as on another machine: the release
            then holds :data:`UNCHECKED`, which says that only images and kinds of files were checked.
        discard: Give up the signatures of an earlier report.

    Returns:
        The files that were written, the report first.

    Raises:
        AuditorError: for an unknown format, a run that cannot be read or written, a sentence that claims too much,
            or a file that shows something of the user's data; nothing is written then.
    """
    unknown = [name for name in formats if name not in (*FORMATS, *EXPORTS)]
    if unknown:
        raise AuditorError(f"{unknown[0]!r} is not a format.", remedy=f"Choose from {', '.join((*FORMATS, *EXPORTS))}.")
    evidence = load_evidence(run_dir)
    known = require_fingerprints(run_dir) if compare_with_data else read_fingerprints(run_dir)
    if not discard:
        refuse_signed(run_dir)
    chosen = dict.fromkeys([*formats, *written_exports(run_dir)])
    figures = draw_figures(evidence, strings()) if chosen.keys() & set(FORMATS) else None
    files = {f"report.{name}": _rendered(evidence, name, figures, known) for name in chosen if name in FORMATS}
    exports = [EXPORTS[name] for name in chosen if name in EXPORTS]
    files |= {file: make(evidence.results, strings(), evidence.decided) for file, make in exports}
    files["evidence.json"] = evidence.raw
    refuse_leaks(files, known)
    if discard:
        discard_signatures(run_dir)
    _say_unchecked(run_dir / "release", known)
    return [_write(run_dir / "release", name, data) for name, data in files.items()]


def _say_unchecked(release: Path, known: Fingerprints | None) -> None:
    """Say in the release itself that its files were not compared with the data; take it back once they were."""
    if known is None:
        _write(release, UNCHECKED, (strings().plain("exports.unchecked") + "\n").encode("utf-8"))
    else:
        (release / UNCHECKED).unlink(missing_ok=True)


def _rendered(evidence: Evidence, name: str, figures: Figures | None, known: Fingerprints | None) -> bytes:
    markup = page(evidence, printed=name == "pdf", figures=figures)
    refuse_overclaims(page_overclaims(markup), f"report.{name}")
    if name != "pdf":
        return markup.encode("utf-8")
    refuse_leaks({"report.html": markup.encode("utf-8")}, known)
    return write_pdf(markup, evidence)


def _write(folder: Path, name: str, data: bytes) -> Path:
    make_folder(folder)
    write_atomic(folder / name, data)
    return folder / name


def written_exports(run_dir: Path) -> list[str]:
    """Names of the exports that the release holds already."""
    return [name for name, (file, _) in EXPORTS.items() if (run_dir / "release" / file).exists()]
