"""OSCAL assessment results (NIST OSCAL 1.2): observations, risks and findings for an auditor's own tools.

A finding is written only where the evidence contradicts, with the state ``not-satisfied``; every status stands in a
property. ``satisfied`` is never written: evidence of a run does not settle a legal provision.
"""

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from auditor.core.findings import ControlRow, ControlStatus, Finding, RiskCell
from auditor.core.results import Results
from auditor.policy.decisions import Decided
from auditor.report.decisions import likelihood_words
from auditor.report.exports.people import Accepted, accepted_in
from auditor.report.strings import Strings

VERSION = "1.2.1"
NAMESPACE = "https://auditor.invalid/ns/oscal"


def oscal(results: Results, words: Strings, decided: Decided | None = None) -> bytes:
    """The assessment results as JSON; equal results give equal bytes. An acceptance stands at its observation."""
    accepted = accepted_in(decided, words)
    make = _Ids(results.sha256)
    value = {
        "assessment-results": {
            "uuid": make("document"),
            "metadata": {
                "title": words.plain("exports.oscal_title", name=results.name),
                "last-modified": results.run.finished,
                "version": results.run.id,
                "oscal-version": VERSION,
                "props": [_prop("results-sha256", results.sha256), _prop("tool-version", results.run.tool_version)],
                "remarks": words.plain("exports.oscal_remark"),
            },
            "import-ap": {"href": f"#{make('plan')}"},
            "results": [_result(results, accepted, words, make)],
            "back-matter": {"resources": _resources(results, words, make)},
        }
    }
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8")


class _Ids:
    """UUIDs that follow from the results and a name."""

    def __init__(self, digest: str) -> None:
        self._space = uuid.uuid5(uuid.NAMESPACE_URL, f"{NAMESPACE}/{digest}")

    def __call__(self, name: str) -> str:
        derived = uuid.uuid5(self._space, name).int
        variant = derived & ~(0xF << 76) | (4 << 76)
        return str(uuid.UUID(int=variant))


def _prop(name: str, value: str) -> dict[str, str]:
    return {"name": name, "ns": NAMESPACE, "value": re.sub(r"\s+", " ", value).strip() or "-"}


def _result(results: Results, accepted: Mapping[str, Accepted], words: Strings, make: _Ids) -> dict[str, Any]:
    selected = [{"control-id": _token(row.id)} for row in results.controls]
    observations = [_observation(f, results, make, accepted.get(f.id)) for f in results.findings]
    observations += [_status(row, results, words, make) for row in results.controls]
    risks = [_risk(cell, k, words, make) for k, cell in enumerate(results.risks)]
    against = [row for row in results.controls if row.status == ControlStatus.CONTRADICTS]
    value: dict[str, Any] = {
        "uuid": make("result"),
        "title": words.plain("exports.oscal_result"),
        "description": words.plain("exports.draft", hash=results.sha256),
        "start": results.run.started,
        "end": results.run.finished,
        "reviewed-controls": {
            "control-selections": [{"include-controls": selected} if selected else {"include-all": {}}]
        },
    }
    lists = {"observations": observations, "risks": risks, "findings": [_finding(row, words, make) for row in against]}
    return value | {name: rows for name, rows in lists.items() if rows}


def _observation(finding: Finding, results: Results, make: _Ids, by: Accepted | None) -> dict[str, Any]:
    accepted = [_prop(f"accepted-{name}", text) for name, text in by.as_json().items()] if by else []
    return {
        "uuid": make(f"finding:{finding.id}"),
        "title": finding.id,
        "description": finding.sentence,
        "props": [_prop("status", finding.status.value), *accepted],
        "methods": ["TEST"],
        "types": ["finding"],
        "collected": results.run.finished,
        "relevant-evidence": [{"href": f"#{make('evidence')}", "description": finding.outcome or finding.id}],
    }


def _status(row: ControlRow, results: Results, words: Strings, make: _Ids) -> dict[str, Any]:
    return {
        "uuid": make(f"control:{row.catalogue}:{row.id}"),
        "title": f"{row.source_ref} {row.title}",
        "description": words.plain(
            "exports.oscal_status",
            control=row.source_ref,
            status=words.word("control", row.status.value),
            reason=row.reason,
        ),
        "props": [
            _prop("status", row.status.value),
            _prop("control-id", row.id),
            _prop("catalogue", row.catalogue),
            *(_prop("applies-from", date) for date in row.applies_from),
        ],
        "methods": ["TEST"],
        "types": ["control-objective"],
        "collected": results.run.finished,
    }


def _finding(row: ControlRow, words: Strings, make: _Ids) -> dict[str, Any]:
    return {
        "uuid": make(f"against:{row.catalogue}:{row.id}"),
        "title": f"{row.source_ref} {row.title}",
        "description": row.reason,
        "props": [_prop("status", row.status.value)],
        "target": {
            "type": "objective-id",
            "target-id": _token(row.id),
            "status": {"state": "not-satisfied", "reason": "other", "remarks": words.word("control", row.status.value)},
        },
        "related-observations": [{"observation-uuid": make(f"control:{row.catalogue}:{row.id}")}],
    }


def _risk(cell: RiskCell, index: int, words: Strings, make: _Ids) -> dict[str, Any]:
    return {
        "uuid": make(f"risk:{index}"),
        "title": cell.event,
        "description": cell.reason,
        "statement": likelihood_words(cell, words),
        "props": [
            _prop("actor", cell.actor),
            _prop("severity", str(cell.severity)),
            _prop("likelihood", "unknown" if cell.likelihood is None else str(cell.likelihood)),
            _prop("likelihood-is-lower-bound", str(cell.at_least).lower()),
        ],
        "status": "open",
    }


def _resources(results: Results, words: Strings, make: _Ids) -> list[dict[str, Any]]:
    hashes = [{"algorithm": "SHA-256", "value": results.run.protocol_sha256}]
    return [
        {
            "uuid": make("plan"),
            "title": words.plain("exports.oscal_plan"),
            "rlinks": [{"href": "plan.json", "hashes": hashes}],
        },
        {"uuid": make("evidence"), "title": "results.json", "rlinks": [{"href": "evidence.json"}]},
    ]


def _token(text: str) -> str:
    """An OSCAL token: letters, digits, dot, dash, underscore, not starting with a digit."""
    text = re.sub(r"[^\w.-]", "-", text)
    return text if re.match(r"[^\W\d]", text) else f"c-{text}"
