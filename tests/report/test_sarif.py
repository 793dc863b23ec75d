"""The SARIF export keeps to the specification, checked by rules written from its text."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor.core.findings import FindingStatus
from auditor.report.exports.gate import sarif
from auditor.report.load import Evidence, load_evidence
from auditor.report.strings import strings
from tests.report import golden
from tests.report.example_results import EXAMPLES
from tests.report.sarif_rules import problems
from tests.report.test_decided_exports import decided


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_keeps_to_the_specification(name: str, evidence_of: Callable[[str], Evidence]) -> None:
    assert problems(json.loads(sarif(evidence_of(name).results, strings()))) == []


@pytest.mark.parametrize("sample", golden.SAMPLES)
def test_every_sample_keeps_to_the_specification(sample: str, tmp_path: Path) -> None:
    results = load_evidence(golden.written(sample, tmp_path / "run")).results
    log = json.loads(sarif(results, strings()))
    assert len(log["runs"][0]["results"]) == len(results.findings) > 10
    assert problems(log) == []


def test_accepted_findings_keep_to_the_specification(run_dir: Path, tmp_path: Path) -> None:
    results = load_evidence(run_dir).results
    people = decided(results, tmp_path / "decisions.yaml", FindingStatus.EXCEEDS)
    log = json.loads(sarif(results, strings(), people))
    assert any(result["suppressions"] for result in log["runs"][0]["results"])
    assert problems(log) == []


def _first(log: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = log["runs"][0]["results"][0]
    return found


BREAKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "lacks runs": lambda log: log.pop("runs"),
    "is none of 2.1.0": lambda log: log.update(version="2.0.0"),
    "lacks driver": lambda log: log["runs"][0]["tool"].pop("driver"),
    "lacks message": lambda log: _first(log).pop("message"),
    "has none of text, id": lambda log: _first(log).update(message={}),
    "is none of notApplicable": lambda log: _first(log).update(kind="bad"),
    "only a failure has a level": lambda log: _first(log).update(kind="open", level="error"),
    "is not the place of ruleId": lambda log: _first(log).update(ruleIndex=9999),
    "severity is no property": lambda log: _first(log).update(severity="high"),
    "is not of the form": lambda log: log["runs"][0]["invocations"][0].update(endTimeUtc="2026-11-20T09:24:55+01:00"),
    "stands there twice": lambda log: log["runs"][0]["tool"]["driver"]["rules"].append(
        log["runs"][0]["tool"]["driver"]["rules"][0]
    ),
    "or none": lambda log: _first(log).update(suppressions=[]),
    "lacks executionSuccessful": lambda log: log["runs"][0]["invocations"][0].pop("executionSuccessful"),
}


@pytest.mark.parametrize("problem", BREAKS)
def test_the_rules_find_what_is_broken(problem: str, evidence_of: Callable[[str], Evidence]) -> None:
    log = json.loads(sarif(evidence_of("private").results, strings()))
    broken = copy.deepcopy(log)
    BREAKS[problem](broken)
    assert problems(log) == []
    assert any(problem in found for found in problems(broken)), problems(broken)
