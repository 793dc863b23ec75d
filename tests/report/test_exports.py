"""Exports: in the shape that other tools read, for usual and hostile runs, with people's fields left to people."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from auditor.core.findings import ControlStatus, FindingStatus
from auditor.core.results import Results
from auditor.report.answers import summarise
from auditor.report.exports.card import model_card
from auditor.report.exports.gate import intoto, junit, sarif
from auditor.report.exports.oscal import oscal
from auditor.report.exports.pia import EMPTY, EMPTY_TEXT, pia
from auditor.report.formatting import number
from auditor.report.load import Evidence, load_evidence
from auditor.report.render import EXPORTS, render
from auditor.report.strings import strings
from auditor.report.wording import overclaims
from tests.report import golden
from tests.report.example_results import EXAMPLES, HOSTILE

QUESTIONS = {111, 112, 113, 121, 122, 123, *range(211, 216), *range(221, 228)}
QUESTIONS |= {block + question for block in (320, 330, 340) for question in range(1, 7)}


@pytest.fixture(params=EXAMPLES)
def results(request: pytest.FixtureRequest, evidence_of: Callable[[str], Evidence]) -> Results:
    return evidence_of(request.param).results


def test_pia_has_the_shape_that_the_importer_reads(results: Results) -> None:
    value: dict[str, Any] = json.loads(pia(results, strings()))
    assert list(value) == ["pia", "answers", "measures", "evaluations", "comments"]
    titles = {measure["title"] for measure in value["measures"]}
    for answer in value["answers"]:
        assert answer["reference_to"] in QUESTIONS
        assert set(answer["data"]) == {"text", "gauge", "list"}
        assert answer["data"]["gauge"] in (None, 1, 2, 3, 4)
        assert (answer["data"]["gauge"] is None) or answer["reference_to"] % 10 in (5, 6)
        if answer["reference_to"] == 324:
            assert set(answer["data"]["list"]) <= titles
    assert len({answer["id"] for answer in value["answers"]}) == len(value["answers"])


def test_pia_leaves_people_their_fields(results: Results) -> None:
    value = json.loads(pia(results, strings()))
    assert value["pia"]["status"] == 0
    assert value["evaluations"] == []
    assert all(value["pia"][name] == "" for name in EMPTY_TEXT)
    assert all(value["pia"][name] is None for name in EMPTY)
    assert results.sha256 in value["comments"][0]["description"]


def test_pia_texts_are_escaped(evidence_of: Callable[[str], Evidence]) -> None:
    value = json.loads(pia(evidence_of("hostile").results, strings()))
    texts = [answer["data"]["text"] or "" for answer in value["answers"]]
    texts += [item for answer in value["answers"] for item in answer["data"]["list"]]
    texts += [measure["content"] for measure in value["measures"]]
    tags = set(re.findall(r"<[^>]*>", " ".join(texts)))
    assert tags == {"<p>", "</p>"}


def test_oscal_is_read_by_trestle(results: Results) -> None:
    from trestle.oscal import assessment_results as assessment

    value = json.loads(oscal(results, strings()))["assessment-results"]
    assessment.AssessmentResults.model_validate(value)


def test_oscal_never_calls_a_provision_satisfied(results: Results) -> None:
    text = oscal(results, strings()).decode()
    value = json.loads(text)["assessment-results"]["results"][0]
    against = [row for row in results.controls if row.status == ControlStatus.CONTRADICTS]
    assert [f["target"]["status"]["state"] for f in value.get("findings", [])] == ["not-satisfied"] * len(against)
    assert '"satisfied"' not in text
    statuses = [p["value"] for o in value.get("observations", []) for p in o["props"] if p["name"] == "status"]
    assert len(statuses) == len(results.findings) + len(results.controls)


def test_oscal_references_resolve(results: Results) -> None:
    value = json.loads(oscal(results, strings()))["assessment-results"]
    known = {r["uuid"] for r in value["back-matter"]["resources"]}
    result = value["results"][0]
    observed = {o["uuid"] for o in result.get("observations", [])}
    assert value["import-ap"]["href"].lstrip("#") in known
    for observation in result.get("observations", []):
        for item in observation.get("relevant-evidence", []):
            assert item["href"].lstrip("#") in known
    for finding in result.get("findings", []):
        assert {o["observation-uuid"] for o in finding["related-observations"]} <= observed
    pattern = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert all(re.fullmatch(pattern, found) for found in (*known, *observed))


def test_junit_counts_every_finding(results: Results) -> None:
    root = ElementTree.fromstring(junit(results, strings()))
    cases = root.findall(".//testcase")
    assert len(cases) == len(results.findings)
    assert len(root.findall(".//failure")) == sum(f.status == FindingStatus.EXCEEDS for f in results.findings)
    assert len(root.findall(".//error")) == sum(f.status == FindingStatus.FAILED for f in results.findings)
    for suite in root:
        assert int(suite.attrib["tests"]) == len(suite)


def test_junit_survives_control_characters(evidence_of: Callable[[str], Evidence]) -> None:
    base = evidence_of("private").results
    finding = base.findings[0].model_copy(update={"sentence": "a\x00b\x1b[31m\ud7ff\ufffe"})
    ElementTree.fromstring(junit(base.model_copy(update={"findings": (finding,)}), strings()))


def test_sarif_marks_only_what_exceeds_as_failure(results: Results) -> None:
    value = json.loads(sarif(results, strings()))
    run = value["runs"][0]
    assert value["version"] == "2.1.0"
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(run["results"]) == len(results.findings)
    for row, finding in zip(run["results"], results.findings, strict=True):
        assert rules[row["ruleIndex"]] == row["ruleId"]
        assert (row["kind"] == "fail") == (finding.status == FindingStatus.EXCEEDS)
        assert row["level"] == ("error" if row["kind"] == "fail" else "none")


@pytest.mark.parametrize("finished", ["2026-11-20T10:24:55+01:00", "2026-11-20T09:24:55Z", "2026-11-20T09:24:55"])
def test_times_are_utc_as_the_formats_ask(finished: str, evidence_of: Callable[[str], Evidence]) -> None:
    base = evidence_of("private").results
    run = base.model_copy(update={"run": base.run.model_copy(update={"finished": finished})})
    value = json.loads(sarif(run, strings()))
    assert value["runs"][0]["invocations"][0]["endTimeUtc"] == "2026-11-20T09:24:55Z"
    assert {suite.attrib["timestamp"] for suite in ElementTree.fromstring(junit(run, strings()))} == {
        "2026-11-20T09:24:55"
    }


def test_sarif_places_are_uris(evidence_of: Callable[[str], Evidence]) -> None:
    base = evidence_of("private").results.model_copy(update={"positions": {"a": "my audit ä.yaml:1:2"}})
    value = json.loads(sarif(base, strings()))
    place = value["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "my%20audit%20%C3%A4.yaml"


def test_intoto_binds_the_model_and_never_passes_an_open_run(results: Results) -> None:
    value = json.loads(intoto(results, strings()))
    digests = {s["name"]: s["digest"]["sha256"] for s in value["subject"]}
    assert digests["model"] == results.target.model_sha256
    assert digests["results.json (canonical JSON, RFC 8785)"] == results.sha256
    statuses = {f.status for f in results.findings}
    verdict = value["predicate"]["result"]
    if FindingStatus.EXCEEDS in statuses:
        assert verdict == "FAILED"
    elif statuses != {FindingStatus.WITHIN}:
        assert verdict == "WARNED"


@pytest.mark.parametrize("name", ["private", "hundred"])
def test_within_a_limit_is_never_called_in_order(name: str, evidence_of: Callable[[str], Evidence]) -> None:
    results = evidence_of(name).results
    within = [finding.id for finding in results.findings if finding.status == FindingStatus.WITHIN]
    assert within
    rows = json.loads(sarif(results, strings()))["runs"][0]["results"]
    kinds = {row["fingerprints"]["auditorFinding/v1"]: row["kind"] for row in rows}
    assert {kinds[name] for name in within} == {"informational"}
    assert "pass" not in kinds.values()
    predicate = json.loads(intoto(results, strings()))["predicate"]
    assert predicate["passedTests"] == [f"{name} (within limit)" for name in within]
    assert "Within its limit" in predicate["meaning"]["passedTests"]
    assert predicate["meaning"].keys() - {"PASSED"} < predicate.keys()
    told = [entry.text or "" for entry in ElementTree.fromstring(junit(results, strings())).iter("system-out")]
    assert told
    assert all(text.startswith("within limit: ") for text in told)


def test_model_card_points_to_what_it_leaves_out(tmp_path: Path) -> None:
    results, words = load_evidence(golden.written("tumour", tmp_path / "run")).results, strings()
    summary = summarise(results, words)
    assert summary.untested_more > 0
    text = model_card(results, words).decode()
    assert f"and {number(summary.untested_more)} more: the section “What was not tested” of report.html" in text
    assert f"Ranges are {' '.join(summary.level.split())} confidence intervals." in text
    assert "The report with all attacks, limits and controls is report.html or report.pdf" in text


def test_model_card_is_plain_text_for_hostile_runs(evidence_of: Callable[[str], Evidence]) -> None:
    text = model_card(evidence_of("hostile").results, strings()).decode()
    for string in HOSTILE:
        assert string not in text or not set(string) & set("<>[]")
    assert not re.search(r"(?<!\\)<", text)
    assert not re.search(r"^[=+@]", text, flags=re.MULTILINE)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}


@pytest.mark.parametrize("name", ["private", "no_mechanism"])
def test_exports_claim_nothing(name: str, evidence_of: Callable[[str], Evidence]) -> None:
    results = evidence_of(name).results.model_copy(update={"controls": ()})
    for _, make in EXPORTS.values():
        assert overclaims(make(results, strings()).decode()) == []


def test_equal_results_give_equal_exports(results: Results) -> None:
    for _, make in EXPORTS.values():
        assert make(results, strings()) == make(results, strings())


def test_render_writes_every_export(run_dir: Any) -> None:
    names = {path.name for path in render(run_dir, list(EXPORTS))}
    assert names == {file for file, _ in EXPORTS.values()} | {"evidence.json"}
