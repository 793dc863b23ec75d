"""The pages on provisions: where their wording comes from, what authors of packs keep to themselves, and validity."""

import re
from collections.abc import Callable
from datetime import date

import pytest

from auditor.controls.lint import AUTHORS_WORDS
from auditor.controls.status import mapped
from auditor.core.findings import ControlStatus
from auditor.report.html import page
from auditor.report.load import Evidence, load_evidence
from auditor.report.sections import basis_mark, holds_until, pack_blocks, sources_of
from auditor.report.strings import strings
from tests.report import golden
from tests.report.page_text import read

NOTES = (
    "must not print a risk class",
    "Never cite as an obligation",
    "never prefill",
    "Design anchor",
    "letters from memory",
    "day not checked",
    "96 hours",
    "statutory hook",
    "Release context is declared by a human",
)


@pytest.fixture(scope="module", params=golden.SAMPLES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return load_evidence(golden.written(request.param, tmp_path_factory.mktemp(request.param) / "run"))


@pytest.fixture(scope="module")
def text(run: Evidence) -> str:
    return " ".join("".join(read(page(run, printed=True)).text).replace("\u200b", "").split())


def test_the_report_counts_what_nobody_read(run: Evidence, text: str) -> None:
    rows = run.results.controls
    read_in_full = [row for row in rows if row.basis == "primary-copy"]
    all_of_them = sources_of(run.results)
    assert (all_of_them.total, all_of_them.read) == (len(rows), len(read_in_full))
    assert all_of_them.read + all_of_them.secondary + all_of_them.memory == len(rows)
    assert f"Of {len(rows)} entries, {len(read_in_full)} were read in a public copy of the official text." in text
    assert f"{all_of_them.memory} wholly or in part on memory" in text
    gdpr = sources_of(run.results, "gdpr")
    assert f"48 entries: {gdpr.read} read in a copy of the official text, {48 - gdpr.read} not" in text


def test_each_entry_that_nobody_read_is_marked(run: Evidence, text: str) -> None:
    marks = {row.id: basis_mark(row) for row in run.results.controls}
    assert marks["gdpr-art-5-1-f"] == "‡"
    assert marks["edpb-op-28-2024-par-55"] == "†"
    assert marks["iso42001-cl-9.2"] == "‡", "title from a secondary source, paraphrase from memory"
    assert marks["aia-art-27-4"] == ""
    for row, mark in marks.items():
        assert re.search(rf"{mark or '[^†‡]'} {re.escape(row)}\b", text), row


def test_notes_of_the_authors_are_on_no_page(text: str) -> None:
    assert [note for note in NOTES if note.lower() in text.lower()] == []


def test_no_rendered_provision_speaks_as_its_authors(run: Evidence) -> None:
    said = {row.id: f"{row.title} {row.source_ref} {row.note} {row.reason}" for row in run.results.controls}
    assert {name: AUTHORS_WORDS.search(words) for name, words in said.items() if AUTHORS_WORDS.search(words)} == {}


def test_what_applies_to_some_systems_only_says_so(run: Evidence, text: str) -> None:
    assert text.count("apply only if the system is high-risk (Annex I or III), which nobody declared here") == 1
    assert "Applies only to providers of general-purpose AI models" in text


def test_no_duty_of_people_is_said_to_be_supported(run: Evidence) -> None:
    tested = {"record", "declared"}
    for row in run.results.controls:
        if row.status == ControlStatus.SUPPORTS:
            assert {name.partition(":")[0] for name in row.evidence} - tested, row.id


def test_validity_is_stated_once_and_by_whom(run: Evidence, text: str) -> None:
    day = holds_until(run.results)
    assert re.fullmatch(r"\d{1,2} November 2027", day)
    assert f"{day}, a year after the run, which the tool proposes, or sooner" in text
    assert "People may set another day in their remark at sign-off" in text


def test_prior_consultation_stands_where_the_risks_name_it(run: Evidence) -> None:
    named = any("Art. 36" in cell.zone for cell in run.results.risks)
    asking = {row.id for pack in pack_blocks(run.results) for group in pack.asking for row in group.rows}
    assert ("gdpr-art-36" in asking) is named


def test_words_of_the_tool_in_the_classes_are_named(text: str) -> None:
    assert "The tool's own are the words “of stored data”" in text
    assert "asks for nothing" not in str(strings().get("provisions"))


def test_without_a_pack_nothing_is_counted(evidence_of: Callable[[str], Evidence]) -> None:
    bare = mapped(evidence_of("private").results, [], today=date(2026, 11, 21))
    assert sources_of(bare).total == 0
