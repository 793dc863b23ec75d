"""Comparisons and decisions in the report and on the command line."""

import datetime
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from auditor.cli.main import app
from auditor.controls.status import mapped
from auditor.core.errors import AuditorError
from auditor.policy.decision_form import template
from auditor.policy.decisions import FILE
from auditor.policy.re_audit import with_comparison
from auditor.report.html import page
from auditor.report.load import AGAINST, load_evidence
from auditor.report.render import render
from auditor.report.verify import verify
from tests.report.example_results import EXAMPLES, Example

DERIVED = "findings, risks and control statuses follow from the measurements"
PEOPLE = {
    "reason": "Only <b>forty</b> clinicians behind a login may ask the model anything.",
    "person": "A. Assessor",
    "role": "DPO",
    "date": datetime.date(2026, 11, 1),
    "expires": datetime.date(2999, 5, 1),
}


def invoke(*words: object) -> tuple[int, str]:
    answer = CliRunner().invoke(app, [str(word) for word in words])
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer.exit_code, answer.output


def decisions_for(run_dir: Path, **other: object) -> Path:
    finding = next(f for f in load_evidence(run_dir).results.findings if f.status.value == "exceeds" and f.low)
    path = run_dir.parent / "decisions.yaml"
    path.write_text(yaml.safe_dump({"accepted": [PEOPLE | {"finding": finding.id} | other]}))
    return path


def section(text: str, name: str) -> str:
    return re.search(rf'<section id="{name}".*?</section>', text, re.DOTALL)[0]


def test_decisions_stand_in_the_report_and_the_results_stay(run_dir: Path) -> None:
    before = (run_dir / "results.json").read_bytes()
    code, _ = invoke("report", run_dir, "--formats", "html", "--decisions", decisions_for(run_dir))
    assert code == 0
    part = section((run_dir / "release" / "report.html").read_text(), "signoff")
    assert "A. Assessor" in part
    assert "&lt;b&gt;forty&lt;/b&gt;" in part
    assert (run_dir / "results.json").read_bytes() == before
    assert all(not check.differs for check in verify(run_dir, full=False))


def test_an_expired_decision_says_so(run_dir: Path) -> None:
    file = decisions_for(run_dir, expires=datetime.date(2026, 11, 2))
    invoke("report", run_dir, "--formats", "html", "--decisions", file)
    part = section((run_dir / "release" / "report.html").read_text(), "signoff")
    assert "it expired on 2026-11-02" in part
    assert "Only &lt;b" not in part


def test_overrides_show_both_values(run_dir: Path) -> None:
    results = load_evidence(run_dir).results
    cell = next(c for c in results.risks if c.likelihood and c.likelihood < 4)
    override = PEOPLE | {
        "actor": cell.actor,
        "attack_class": cell.attack_class,
        "quantity": "likelihood",
        "computed": cell.likelihood,
        "value": 4,
        "evidence": "access log",
        "model_sha256": results.target.weights_sha256,
        "protocol_sha256": results.run.protocol_sha256,
    }
    file = run_dir.parent / "decisions.yaml"
    file.write_text(yaml.safe_dump({"overrides": [override]}))
    invoke("report", run_dir, "--formats", "html", "--decisions", file)
    text = (run_dir / "release" / "report.html").read_text()
    assert "maximum as decided" in section(text, "signoff")
    assert "No value was overridden" not in text


def test_a_decisions_file_that_was_altered_is_named(run_dir: Path) -> None:
    invoke("report", run_dir, "--formats", "html", "--decisions", decisions_for(run_dir))
    path = run_dir / FILE
    path.write_text(path.read_text().replace("A. Assessor", "Somebody"))
    found = {check.name for check in verify(run_dir, full=False) if check.differs}
    assert found == {"release/report.html is what these results give"}


def test_the_command_starts_a_file(run_dir: Path) -> None:
    code, text = invoke("decide", run_dir)
    assert code == 0
    assert text == template(load_evidence(run_dir).results)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The same audit before differential privacy was switched on."""
    base = EXAMPLES["no_mechanism"]()
    older = base.results.model_copy(update={"run": base.results.run.model_copy(update={"id": "2026-10-01T0900Z-old"})})
    return Example(older, base.arrays).write(tmp_path / "older")


def test_the_report_says_what_changed(run_dir: Path, earlier: Path) -> None:
    code, _ = invoke("report", run_dir, "--formats", "html", "--against", earlier)
    assert code == 0
    part = section((run_dir / "release" / "report.html").read_text(), "comparison")
    assert "2026-10-01T0900Z-old" in part
    assert "no status of a provision counts it" in part
    assert "privacy.<wbr>noise_<wbr>multiplier" in part
    assert "clearly lower" in part
    assert all(not check.differs for check in verify(run_dir, full=False))


def test_a_comparison_made_with_the_run_counts_and_is_derived_again(tmp_path: Path, earlier: Path) -> None:
    base = EXAMPLES["private"]()
    before = load_evidence(earlier).results
    packs = ("gdpr", "eu_ai_act", "iso_42001")
    made = mapped(with_comparison(base.results, before), packs, today=datetime.date(2026, 11, 20))
    run_dir = Example(made, base.arrays).write(tmp_path / "new")
    shutil.copy(earlier / "results.json", run_dir / AGAINST)
    render(run_dir, ["html"])
    assert all(not check.differs for check in verify(run_dir, full=False))
    assert "no status of a provision counts it" not in (run_dir / "release" / "report.html").read_text()
    value = json.loads((run_dir / AGAINST).read_text())
    value["findings"][0]["low"] = value["findings"][0]["high"] = 0.99
    (run_dir / AGAINST).write_text(json.dumps(value))
    assert {c.name for c in verify(run_dir, full=False) if c.differs} >= {DERIVED}
    (run_dir / AGAINST).unlink()
    assert [c.differs for c in verify(run_dir, full=False) if c.name == DERIVED and "against.json" in c.differs[0]]


@pytest.mark.parametrize("format_", ["text", "markdown", "json"])
def test_compare_prints_and_its_code_says_what_got_worse(format_: str, run_dir: Path, earlier: Path) -> None:
    code, text = invoke("compare", earlier, run_dir, "--format", format_)
    assert code == 0
    assert "clearly lower" in text
    code, text = invoke("compare", run_dir, earlier, "--format", format_)
    assert code == 1
    assert "clearly higher" in text
    if format_ == "json":
        assert any(change["worse"] for change in json.loads(text)["findings"])


def test_incomparable_runs_have_their_own_code(run_dir: Path, earlier: Path) -> None:
    path = earlier / "results.json"
    value = json.loads(path.read_text())
    value["run"]["protocol_sha256"] = "0" * 64
    path.write_text(json.dumps(value))
    code, text = invoke("compare", path, run_dir)
    assert code == 3
    assert "Not comparable" in text
    assert "No figure was compared, for the reasons above." in text
    invoke("report", run_dir, "--formats", "html", "--against", path)
    assert "Figures cannot be compared" in page(load_evidence(run_dir), printed=False)


def test_what_is_no_run_is_refused(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(AuditorError, match="cannot be read"):
        invoke("compare", tmp_path / "none", run_dir)
    with pytest.raises(AuditorError, match="cannot be read"):
        invoke("report", run_dir, "--against", tmp_path / "none")
