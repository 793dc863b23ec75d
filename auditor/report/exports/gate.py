"""Formats for continuous integration: JUnit, SARIF 2.1.0, and an in-toto test-result statement."""

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from auditor.core.findings import Finding, FindingStatus
from auditor.core.results import Results
from auditor.report.strings import Strings

SKIPPED = (FindingStatus.INCONCLUSIVE, FindingStatus.NOT_RUN, FindingStatus.NOT_APPLICABLE)
SARIF_KIND = {
    FindingStatus.EXCEEDS: "fail",
    FindingStatus.WITHIN: "pass",
    FindingStatus.INCONCLUSIVE: "open",
    FindingStatus.FAILED: "open",
    FindingStatus.NOT_RUN: "open",
    FindingStatus.NOT_APPLICABLE: "notApplicable",
}
CANONICAL = "results.json (canonical JSON, RFC 8785)"
"""The digest is of the canonical form, not of the file's bytes, so the name says so."""
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Results, words: Strings) -> bytes:
    """One test case per finding; what is inconclusive or was not run is skipped with its reason."""
    root = ElementTree.Element("testsuites", name=_xml(results.name))
    suites: dict[str, list[Finding]] = {}
    for finding in results.findings:
        suites.setdefault(finding.outcome.partition(":")[0] or "audit", []).append(finding)
    for name, findings in suites.items():
        attributes = {
            "name": _xml(name),
            "tests": str(len(findings)),
            "failures": str(sum(f.status == FindingStatus.EXCEEDS for f in findings)),
            "errors": str(sum(f.status == FindingStatus.FAILED for f in findings)),
            "skipped": str(sum(f.status in SKIPPED for f in findings)),
            "time": "0",
            "timestamp": _utc(results.run.finished).removesuffix("Z"),
        }
        suite = ElementTree.SubElement(root, "testsuite", attributes)
        for finding in findings:
            _case(suite, finding, words)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _case(suite: ElementTree.Element, finding: Finding, words: Strings) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=_xml(finding.outcome or "audit"), name=_xml(finding.metric or finding.id)
    )
    tag = {FindingStatus.EXCEEDS: "failure", FindingStatus.FAILED: "error"}.get(finding.status, "skipped")
    if finding.status == FindingStatus.WITHIN:
        ElementTree.SubElement(case, "system-out").text = _xml(finding.sentence)
        return
    about = {"message": _xml(words.word("finding", finding.status.value))}
    entry = ElementTree.SubElement(case, tag, about if tag == "skipped" else about | {"type": finding.status.value})
    entry.text = _xml(f"{finding.sentence} {finding.advice}".strip())


def _utc(text: str) -> str:
    """A time as SARIF 2.1.0 (3.9) and JUnit want it: UTC, with Z."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return "2000-01-01T00:00:00Z"
    return f"{(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _xml(text: str) -> str:
    """Text without the characters that XML forbids."""
    return _NOT_XML.sub("\ufffd", text)


def sarif(results: Results, words: Strings) -> bytes:
    """One result per finding; only what exceeds its limit is a failure."""
    rules = sorted({finding.metric or "outcome" for finding in results.findings})
    file = next((place.rsplit(":", 2)[0] for place in results.positions.values()), "audit.yaml")
    value = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "auditor",
                        "version": results.run.tool_version,
                        "rules": [{"id": rule, "shortDescription": {"text": rule}} for rule in rules],
                    }
                },
                "invocations": [
                    {"executionSuccessful": results.run.complete, "endTimeUtc": _utc(results.run.finished)}
                ],
                "results": [_sarif_result(f, rules, file, words) for f in results.findings],
                "properties": {"resultsSha256": results.sha256},
            }
        ],
    }
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8")


def _sarif_result(finding: Finding, rules: list[str], file: str, words: Strings) -> dict[str, Any]:
    rule = finding.metric or "outcome"
    kind = SARIF_KIND[finding.status]
    return {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "kind": kind,
        "level": "error" if kind == "fail" else "none",
        "message": {"text": f"{words.word('finding', finding.status.value)}: {finding.sentence}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": quote(file)}},
                "logicalLocations": [{"fullyQualifiedName": finding.outcome or finding.id}],
            }
        ],
        "fingerprints": {"auditorFinding/v1": finding.id},
    }


def intoto(results: Results, words: Strings) -> bytes:
    """An unsigned in-toto statement (v1) with the test-result predicate (v0.1): evidence bound to the model's hash."""
    by_status: dict[FindingStatus, list[str]] = {status: [] for status in FindingStatus}
    for finding in results.findings:
        by_status[finding.status].append(finding.id)
    failed = by_status[FindingStatus.EXCEEDS]
    warned = [
        *by_status[FindingStatus.INCONCLUSIVE],
        *by_status[FindingStatus.FAILED],
        *by_status[FindingStatus.NOT_RUN],
    ]
    passed = by_status[FindingStatus.WITHIN]
    outcome = "FAILED" if failed else "WARNED" if warned or not passed or not results.run.complete else "PASSED"
    target = results.target
    digests = {"model": target.model_sha256, "weights": target.weights_sha256, CANONICAL: results.sha256}
    value = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items() if digest],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": outcome,
            "configuration": [
                {"name": "settings", "digest": {"sha256": results.run.settings_sha256}},
                {"name": "protocol", "digest": {"sha256": results.run.protocol_sha256}},
            ],
            "passedTests": passed,
            "warnedTests": warned,
            "failedTests": failed,
        },
    }
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8")
