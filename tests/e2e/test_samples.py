"""The samples that ship with the tool, run as a user runs them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.core.results import Results
from auditor.report.leakcheck import leaks, read_fingerprints
from tests.report.page_text import read
from tests.report.test_numbers import found_in, tokens

pytestmark = pytest.mark.timeout(900)  # a whole audit runs before the first test

SAMPLES = ("digits", "tumour", "notes")
REBUILDS = {"digits": "gradient-matching", "tumour": "gradient-matching", "notes": "dager"}
"""The attack that rebuilds records of the sample's kind."""


@pytest.fixture(scope="module", params=SAMPLES)
def run(request: pytest.FixtureRequest, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a sample."""
    out = tmp_path_factory.mktemp(request.param) / "run"
    audit = repository / "samples" / request.param / "audit.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "auditor", "run", str(audit), "--out", str(out)],
        capture_output=True, text=True, cwd=out.parent, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split()
    assert {str(out / "release" / "report.html"), str(out / "release" / "report.pdf")} <= set(printed)
    return out


def _results(run: Path) -> Results:
    return Results.from_json(json.loads((run / "results.json").read_text()))


def test_a_sample_is_complete_and_every_attack_has_an_end(run: Path) -> None:
    results = _results(run)
    assert results.run.complete
    assert {o.status for o in results.outcomes} <= {"measured", "not_applicable"}
    assert {"inversion/labels", "membership/lira", "membership/rmia"} <= _measured(results)
    assert "inversion/text-matching" in _measured(results) or results.target.shape.modality != "text"


def _measured(results: Results) -> set[str]:
    return {o.attack for o in results.outcomes if o.status == "measured"}


def test_the_attack_on_records_works_where_everything_is_laid_open(run: Path) -> None:
    rebuilding = f"inversion/{REBUILDS[run.parent.name.rstrip('0123456789')]}"
    shares = [
        m.value
        for o in _results(run).outcomes
        if o.control == "positive" and o.attack == rebuilding
        for m in o.measurements
        if m.metric == "recovered_share"
    ]
    assert shares
    assert max(value or 0.0 for value in shares) >= 0.5


def test_every_number_of_the_report_is_in_the_results(run: Path) -> None:
    allowed = found_in(json.loads((run / "results.json").read_text()))
    seen = read((run / "release" / "report.html").read_text(encoding="utf-8"))
    text = " ".join([*seen.text, *seen.spoken])
    unknown = {token for token in tokens(text) if token not in allowed and token.rstrip("0").rstrip(".") not in allowed}
    assert not unknown


def test_the_release_shows_no_record(run: Path) -> None:
    known = read_fingerprints(run)
    assert known is not None
    files = {path.name: path.read_bytes() for path in (run / "release").iterdir() if path.is_file()}
    assert {"report.html", "report.pdf", "evidence.json"} <= set(files)
    assert not leaks(files, known)


def test_the_pdf_is_an_archive_with_the_results_inside(run: Path) -> None:
    import pikepdf

    with pikepdf.open(run / "release" / "report.pdf") as pdf:
        attached = {name: bytes(spec.get_file().read_bytes()) for name, spec in pdf.attachments.items()}
        metadata = str(pdf.open_metadata())
    (content,) = attached.values()
    assert json.loads(content) == json.loads((run / "results.json").read_text())
    assert re.search(r"pdfaid:part\W+3", metadata)


def test_notes_are_what_their_generator_writes(repository: Path, tmp_path: Path) -> None:
    folder = repository / "samples" / "notes"
    shutil.copy(folder / "write_notes.py", tmp_path)
    subprocess.run([sys.executable, str(tmp_path / "write_notes.py")], check=True)
    assert (tmp_path / "notes.jsonl").read_bytes() == (folder / "notes.jsonl").read_bytes()


def test_notes_are_read_word_for_word_and_membership_shows(run: Path) -> None:
    results = _results(run)
    if results.target.shape.modality != "text":
        return
    read = {
        o.state: m.value
        for o in results.outcomes
        if o.attack == "inversion/dager" and o.scenario == "honest-server"
        for m in o.measurements
        if m.metric == "exact_text_share"
    }
    assert set(read) == {"initial", "trained"}
    assert min(value or 0.0 for value in read.values()) >= 0.95
    telling = [
        m for o in results.outcomes if o.scenario == "released-model" for m in o.measurements if m.metric == "auc"
    ]
    assert max(m.interval.low for m in telling if m.interval) > 0.55


def test_the_tumour_claim_is_contradicted(run: Path) -> None:
    results = _results(run)
    if results.accounting.claimed_epsilon is None:
        epsilon = results.accounting.epsilon
        assert epsilon is not None
        assert epsilon.upper == float("inf")
        return
    assert results.accounting.epsilon is not None
    assert results.accounting.epsilon.lower > results.accounting.claimed_epsilon
    assert any(f.status == "exceeds" and "epsilon" in f.sentence for f in results.findings)
    row = next(row for row in results.controls if row.id == "gdpr-art-5-1-a")
    assert row.status == "inconclusive"
    assert "does not follow from the declared settings" in row.reason
