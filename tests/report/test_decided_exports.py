"""What people accepted reaches the formats of other tools, and fails what ``--fail-on`` would fail, nothing else."""

import datetime
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from auditor.cli.run import FailOn, exit_code
from auditor.core.errors import ExitCode
from auditor.core.findings import FindingStatus
from auditor.core.results import Results
from auditor.policy.decisions import Decided, decide, load_decisions
from auditor.report.exports.gate import intoto, junit, sarif
from auditor.report.exports.oscal import oscal
from auditor.report.load import load_evidence
from auditor.report.render import EXPORTS, render
from auditor.report.strings import strings
from auditor.report.verify import verify
from tests.report.test_decided import PEOPLE, decisions_for, invoke

SENTENCE = "Accepted by A. Assessor (DPO) on 2026-11-01, until 2999-05-01: “Only <b>forty</b> clinicians"
TODAY = datetime.date(2026, 11, 20)


@pytest.fixture
def results(run_dir: Path) -> Results:
    return load_evidence(run_dir).results


def decided(results: Results, path: Path, *status: FindingStatus, **other: object) -> Decided:
    """All findings of these statuses accepted."""
    rows = [PEOPLE | {"finding": f.id} | other for f in results.findings if f.status in status]
    assert rows
    path.write_text(yaml.safe_dump({"accepted": rows}))
    return decide(results, load_decisions(path, as_of=TODAY))


def suppressions(raw: bytes) -> dict[str, list[dict[str, Any]] | None]:
    rows = json.loads(raw)["runs"][0]["results"]
    return {row["fingerprints"]["auditorFinding/v1"]: row.get("suppressions") for row in rows}


def test_sarif_suppresses_what_was_accepted_and_nothing_else(results: Results, tmp_path: Path) -> None:
    people = decided(results, tmp_path / "d.yaml", FindingStatus.EXCEEDS)
    found = suppressions(sarif(results, strings(), people))
    exceeding = {f.id for f in results.findings if f.status == FindingStatus.EXCEEDS}
    assert {name for name, entries in found.items() if entries} == exceeding
    assert all(entries is not None for entries in found.values())
    for name in exceeding:
        (entry,) = found[name]
        assert (entry["kind"], entry["status"]) == ("external", "accepted")
        assert entry["justification"].startswith(SENTENCE)
        assert entry["properties"]["expires"] == "2999-05-01"
    kinds = {row["kind"] for row in json.loads(sarif(results, strings(), people))["runs"][0]["results"]}
    assert "fail" in kinds, "an accepted finding keeps what was measured"
    assert set(suppressions(sarif(results, strings())).values()) == {None}


def test_an_expired_acceptance_suppresses_nothing(results: Results, tmp_path: Path) -> None:
    people = decided(results, tmp_path / "d.yaml", FindingStatus.EXCEEDS, expires=datetime.date(2026, 11, 2))
    assert not any(suppressions(sarif(results, strings(), people)).values())
    assert junit(results, strings(), people) == junit(results, strings())
    predicate = json.loads(intoto(results, strings(), people))["predicate"]
    assert predicate["result"] == "FAILED"
    assert predicate["decisions"]["accepted"] == []
    assert any("it expired on 2026-11-02" in why for why in predicate["decisions"]["void"])


@pytest.mark.parametrize("statuses", [(FindingStatus.EXCEEDS,), (FindingStatus.INCONCLUSIVE,)])
def test_junit_fails_where_the_command_fails(
    statuses: tuple[FindingStatus, ...], results: Results, tmp_path: Path
) -> None:
    people = decided(results, tmp_path / "d.yaml", *statuses)
    root = ElementTree.fromstring(junit(results, strings(), people))
    complete = results.model_copy(update={"run": results.run.model_copy(update={"complete": True})})
    code = exit_code(complete, FailOn.EXCEEDS, accepted=people.accepted_ids)
    assert bool(root.findall(".//failure")) == (code == ExitCode.FINDING)
    for suite in root:
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[kind]) == len(suite.findall(f".//{tag}"))
    told = [entry.attrib["message"] for entry in root.findall(".//skipped") if SENTENCE in entry.attrib["message"]]
    assert len(told) == len(people.accepted_ids)
    if FindingStatus.EXCEEDS in statuses:
        assert all(message.startswith("exceeds limit") for message in told)


def test_the_statement_lists_decisions_and_passes_no_accepted_finding(results: Results, tmp_path: Path) -> None:
    people = decided(results, tmp_path / "d.yaml", FindingStatus.EXCEEDS)
    predicate = json.loads(intoto(results, strings(), people))["predicate"]
    assert predicate["result"] == "WARNED"
    assert predicate["failedTests"] == []
    assert people.accepted_ids <= set(predicate["warnedTests"])
    assert {row["finding"] for row in predicate["decisions"]["accepted"]} == people.accepted_ids
    assert predicate["decisions"]["accepted"][0]["person"] == "A. Assessor"
    assert "decisions" not in json.loads(intoto(results, strings()))["predicate"]


def test_overrides_stand_in_the_statement_with_both_values(results: Results, tmp_path: Path) -> None:
    cell = next(c for c in results.risks if c.likelihood and c.likelihood < 4)
    override = PEOPLE | {
        "actor": cell.actor,
        "attack_class": cell.attack_class,
        "quantity": "likelihood",
        "computed": cell.likelihood,
        "value": 4,
        "evidence": "access log",
        "model_sha256": results.target.weights_sha256 or results.target.model_sha256,
        "protocol_sha256": results.run.protocol_sha256,
    }
    (tmp_path / "d.yaml").write_text(yaml.safe_dump({"overrides": [override]}))
    people = decide(results, load_decisions(tmp_path / "d.yaml", as_of=TODAY))
    (row,) = json.loads(intoto(results, strings(), people))["predicate"]["decisions"]["overridden"]
    assert (row["computed"], row["value"], row["actor"]) == (cell.likelihood, 4, cell.actor)


def test_oscal_names_who_accepted(results: Results, tmp_path: Path) -> None:
    people = decided(results, tmp_path / "d.yaml", FindingStatus.EXCEEDS)
    rows = json.loads(oscal(results, strings(), people))["assessment-results"]["results"][0]["observations"]
    named = {row["title"]: {p["name"]: p["value"] for p in row["props"]} for row in rows}
    accepted = {name for name, props in named.items() if props.get("accepted-person") == "A. Assessor"}
    assert accepted == people.accepted_ids
    from trestle.oscal import assessment_results as assessment

    read = assessment.Model.model_validate_json(oscal(results, strings(), people))
    assert len(read.assessment_results.results[0].observations) == len(rows)


def test_deciding_writes_the_exports_again_that_are_there(run_dir: Path) -> None:
    render(run_dir, ["html", *EXPORTS])
    before = {file: (run_dir / "release" / file).read_bytes() for file, _ in EXPORTS.values()}
    code, printed = invoke("report", run_dir, "--formats", "html", "--decisions", decisions_for(run_dir))
    assert code == 0
    changed = {file for file, raw in before.items() if (run_dir / "release" / file).read_bytes() != raw}
    assert {"findings.sarif", "junit.xml", "statement.intoto.json", "model-card.md"} <= changed
    assert "findings.sarif" in printed
    assert "Accepted by A. Assessor until 2999-05-01: " in printed
    assert SENTENCE.partition("“")[0] in (run_dir / "release" / "model-card.md").read_text().replace("\\", "")
    assert all(not check.differs for check in verify(run_dir, full=False))
