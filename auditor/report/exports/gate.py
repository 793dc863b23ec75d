"""Formats for continuous integration: JUnit, SARIF 2.1.0, and an in-toto test-result statement.

A finding that people accepted keeps its status and its sentence everywhere, and counts for no failure, as with
``auditor run --fail-on``: JUnit skips it with the acceptance as the reason, SARIF suppresses it, and the statement
warns of it.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from auditor.core.findings import Finding, FindingStatus
from auditor.core.results import Results
from auditor.policy.decisions import Decided
from auditor.report.exports.people import Accepted, accepted_in, overridden_in
from auditor.report.strings import Strings

SKIPPED = (FindingStatus.INCONCLUSIVE, FindingStatus.NOT_RUN, FindingStatus.NOT_APPLICABLE)
SARIF_KIND = {
    FindingStatus.EXCEEDS: "fail",
    FindingStatus.WITHIN: "informational",
    FindingStatus.INCONCLUSIVE: "open",
    FindingStatus.FAILED: "open",
    FindingStatus.NOT_RUN: "open",
    FindingStatus.NOT_APPLICABLE: "notApplicable",
}
"""Within a limit is no pass: the tool never says that something is in order. SARIF 2.1.0 (3.27.9) has "informational"
for a rule that was evaluated and whose result does not point to a problem by itself."""

CANONICAL = "results.json (canonical JSON, RFC 8785)"
"""The digest is of the canonical form, not of the file's bytes, so the name says so."""
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Results, words: Strings, decided: Decided | None = None) -> bytes:
    """One test case per finding; what is inconclusive, was not run or is accepted is skipped with its reason."""
    accepted = accepted_in(decided, words)
    root = ElementTree.Element("testsuites", name=_xml(results.name))
    suites: dict[str, list[Finding]] = {}
    for finding in results.findings:
        suites.setdefault(finding.outcome.partition(":")[0] or "audit", []).append(finding)
    for name, findings in suites.items():
        attributes = {
            "name": _xml(name),
            "tests": str(len(findings)),
            "failures": str(sum(_tag(f, accepted) == "failure" for f in findings)),
            "errors": str(sum(_tag(f, accepted) == "error" for f in findings)),
            "skipped": str(sum(_tag(f, accepted) == "skipped" for f in findings)),
            "time": "0",
            "timestamp": _utc(results.run.finished).removesuffix("Z"),
        }
        suite = ElementTree.SubElement(root, "testsuite", attributes)
        for finding in findings:
            _case(suite, finding, accepted, words)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _tag(finding: Finding, accepted: Mapping[str, Accepted]) -> str:
    """How a test case ends; empty where it passes."""
    if finding.status == FindingStatus.EXCEEDS:
        return "skipped" if finding.id in accepted else "failure"
    return {FindingStatus.FAILED: "error", FindingStatus.WITHIN: ""}.get(finding.status, "skipped")


def _case(suite: ElementTree.Element, finding: Finding, accepted: Mapping[str, Accepted], words: Strings) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=_xml(finding.outcome or "audit"), name=_xml(finding.metric or finding.id)
    )
    tag = _tag(finding, accepted)
    if not tag:
        said = f"{words.word('finding', finding.status.value)}: {finding.sentence}"
        ElementTree.SubElement(case, "system-out").text = _xml(said)
        return
    people = accepted[finding.id].sentence if finding.id in accepted else ""
    about = {"message": _xml(" ".join(filter(None, (words.word("finding", finding.status.value), people))))}
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


def sarif(results: Results, words: Strings, decided: Decided | None = None) -> bytes:
    """One result per finding; only what exceeds its limit is a failure.

    Where people decided something, every result says whether it is suppressed (SARIF 2.1.0, 3.27.23: all or none).
    """
    accepted = accepted_in(decided, words)
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
                "results": [
                    _sarif_result(f, rules, file, words) | ({} if decided is None else _suppressed(f, accepted))
                    for f in results.findings
                ],
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


def _suppressed(finding: Finding, accepted: Mapping[str, Accepted]) -> dict[str, Any]:
    if finding.id not in accepted:
        return {"suppressions": []}
    by = accepted[finding.id]
    return {
        "suppressions": [
            {"kind": "external", "status": "accepted", "justification": by.sentence, "properties": by.as_json()}
        ]
    }


def intoto(results: Results, words: Strings, decided: Decided | None = None) -> bytes:
    """An unsigned in-toto statement (v1) with the test-result predicate (v0.1): evidence bound to the model's hash.

    The predicate has no other words than passed, warned and failed; what they mean here stands in each name that
    passed and, as ``meaning``, beside them. So does ``decisions``: what people accepted and overrode, and what of it
    counts for nothing. Readers of the predicate pass over fields that they do not know.
    """
    accepted = accepted_in(decided, words)
    by_status: dict[FindingStatus, list[str]] = {status: [] for status in FindingStatus}
    for finding in results.findings:
        by_status[finding.status].append(finding.id)
    failed = [name for name in by_status[FindingStatus.EXCEEDS] if name not in accepted]
    warned = [
        *[name for name in by_status[FindingStatus.EXCEEDS] if name in accepted],
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
            "passedTests": [f"{name} ({words.word('finding', FindingStatus.WITHIN.value)})" for name in passed],
            "warnedTests": warned,
            "failedTests": failed,
            "meaning": words.get("exports.intoto_meaning"),
        }
        | ({} if decided is None else {"decisions": _decisions(decided, accepted)}),
    }
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8")


def _decisions(decided: Decided, accepted: Mapping[str, Accepted]) -> dict[str, Any]:
    return {
        "asOf": decided.as_of.isoformat(),
        "accepted": [{"finding": name} | by.as_json() for name, by in accepted.items()],
        "overridden": overridden_in(decided),
        "void": list(decided.void),
    }
