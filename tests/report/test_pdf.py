"""The PDF: archival, tagged, with its evidence inside, and the same every time."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from auditor.core.errors import AuditorError
from auditor.report.html import SECTIONS, page
from auditor.report.load import Evidence, load_evidence
from auditor.report.pdf import write_pdf
from auditor.report.render import render
from auditor.report.strings import strings
from tests.report.example_results import EXAMPLES


@pytest.fixture(scope="module")
def pdf_bytes(evidence_of: Callable[[str], Evidence]) -> bytes:
    evidence = evidence_of("private")
    return write_pdf(page(evidence, printed=True), evidence)


@pytest.fixture
def pdf(pdf_bytes: bytes) -> Iterator[pikepdf.Pdf]:
    with pikepdf.open(io.BytesIO(pdf_bytes)) as document:
        yield document


def contents_page(document: pikepdf.Pdf) -> int:
    """The page of the table of contents: the second, where the summary fits its page."""
    with document.open_outline() as outline:
        items = list(all_items(outline.root))
    title = strings().plain("report.contents")
    place = next(item.destination for item in items if item.title == title)
    return next(k for k, sheet in enumerate(document.pages) if sheet.obj.objgen == place[0].objgen)


def all_items(items: Any) -> Iterator[Any]:
    for item in items:
        yield item
        yield from all_items(item.children)


def tag_tree(node: Any) -> Iterator[Any]:
    if isinstance(node, pikepdf.Dictionary):
        if "/S" in node:
            yield node
        kids = node.get("/K")
        if isinstance(kids, pikepdf.Array):
            for kid in kids:
                yield from tag_tree(kid)
        elif isinstance(kids, pikepdf.Dictionary):
            yield from tag_tree(kids)


def test_archival_and_tagged(pdf: pikepdf.Pdf) -> None:
    with pdf.open_metadata() as meta:
        assert meta["pdfaid:part"] == "3"
        assert meta["pdfaid:conformance"] == "A"
    root = pdf.Root
    assert str(root.Lang) == "en"
    assert bool(root.MarkInfo.Marked)
    assert "/OutputIntents" in root
    assert "/ID" in pdf.trailer


def test_bookmarks_name_every_section(pdf: pikepdf.Pdf) -> None:
    with pdf.open_outline() as outline:
        titles = " | ".join(item.title for item in all_items(outline.root))
    for name in SECTIONS:
        assert strings().plain(f"sections.{name}") in titles


def test_results_are_attached_as_they_are(pdf: pikepdf.Pdf, evidence_of: Callable[[str], Evidence]) -> None:
    attached = pdf.attachments["results.json"]
    assert attached.get_file().read_bytes() == evidence_of("private").raw
    assert attached.obj.AFRelationship == "/Data"


def test_each_figure_has_alternative_text(pdf: pikepdf.Pdf) -> None:
    figures = [tag for tag in tag_tree(pdf.Root.StructTreeRoot) if tag.S == "/Figure"]
    assert len(figures) == 5
    assert all(len(str(figure.get("/Alt", ""))) > 40 for figure in figures)


def test_table_headers_are_tagged(pdf: pikepdf.Pdf) -> None:
    kinds = {str(tag.S) for tag in tag_tree(pdf.Root.StructTreeRoot)}
    assert {"/H1", "/H2", "/H3", "/Table", "/TH", "/TD", "/L"} <= kinds


def test_all_fonts_are_embedded(pdf: pikepdf.Pdf) -> None:
    fonts = [f for p in pdf.pages for f in p.resources.get("/Font", {}).values()]
    assert fonts
    for font in fonts:
        descriptor = font.DescendantFonts[0].FontDescriptor if "/DescendantFonts" in font else font.FontDescriptor
        assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor.keys()), font.BaseFont


def shortened(evidence: Evidence) -> Evidence:
    """The same run with fewer provisions, which take most of the time to set."""
    results = evidence.results.model_copy(update={"controls": evidence.results.controls[::16]})
    return Evidence(results, evidence.arrays, json.dumps(results.to_json()).encode())


def test_equal_results_give_equal_bytes(evidence_of: Callable[[str], Evidence]) -> None:
    evidence = shortened(evidence_of("private"))
    first, second = (write_pdf(page(evidence, printed=True), evidence) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["no_mechanism", "failures", "hostile", "non_latin"])
def test_unusual_runs_print_without_a_warning(name: str, evidence_of: Callable[[str], Evidence]) -> None:
    evidence = shortened(evidence_of(name))
    data = write_pdf(page(evidence, printed=True), evidence)
    with pikepdf.open(io.BytesIO(data)) as document:
        assert contents_page(document) in (0, 1)  # they follow a short summary on its own page


@pytest.mark.parametrize(
    "source",
    ["http://127.0.0.1:9/x.png", "file:///etc/hostname", "data:image/png;base64,AAAA", "../../../etc/hostname"],
)
def test_the_page_can_fetch_nothing(source: str, evidence_of: Callable[[str], Evidence]) -> None:
    with pytest.raises(AuditorError, match="the report asked for"):
        write_pdf(f'<html lang="en"><title>x</title><img alt="x" src="{source}"></html>', evidence_of("nothing"))


def test_a_renderer_warning_is_an_error(evidence_of: Callable[[str], Evidence]) -> None:
    with pytest.raises(AuditorError, match="unknown property"):
        write_pdf("<html><title>x</title><p style='colour: red'>x</p></html>", evidence_of("nothing"))


def test_render_writes_the_release_folder(tmp_path: Path) -> None:
    run_dir = EXAMPLES["nothing"]().write(tmp_path / "run")
    paths = render(run_dir)
    assert [path.name for path in paths] == ["report.html", "report.pdf", "evidence.json"]
    assert all(path.parent == run_dir / "release" for path in paths)
    assert paths[2].read_bytes() == (run_dir / "results.json").read_bytes()
    assert sorted(path.name for path in (run_dir / "release").iterdir()) == sorted(path.name for path in paths)


@pytest.mark.parametrize("damage", ["missing", "array", "schema", "outside", "text"])
def test_a_damaged_run_is_one_sentence(damage: str, run_dir: Path) -> None:
    path = run_dir / "results.json"
    value = json.loads(path.read_text())
    if damage == "missing":
        path.unlink()
    elif damage == "array":
        (run_dir / value["arrays"][0]["file"]).write_bytes(b"x")
    elif damage == "schema":
        path.write_text(json.dumps(value | {"schema": "auditor.results/999"}))
    elif damage == "outside":
        value["arrays"][0]["file"] = "../../x.npy"
        path.write_text(json.dumps(value))
    else:
        path.write_text("not json")
    with pytest.raises(AuditorError):
        load_evidence(run_dir)


def test_an_unknown_format_is_refused(run_dir: Path) -> None:
    with pytest.raises(AuditorError, match="not a format"):
        render(run_dir, ["docx"])
