"""Decisions of people change what fails a command, and nothing that was measured."""

import json
from pathlib import Path

import yaml

from tests.e2e.audits import DIGITS, auditor, results_of, written

PEOPLE = {
    "reason": "Ten records of a public toy data set; nobody can be harmed by them.",
    "person": "A. Assessor",
    "role": "Assessor",
    "date": "2026-11-01",
}


OPEN = ("exceeds", "inconclusive")


def suppressed(run: Path) -> set[str]:
    """Findings that the export for continuous integration calls accepted."""
    rows = json.loads((run / "release" / "findings.sarif").read_text())["runs"][0]["results"]
    return {row["fingerprints"]["auditorFinding/v1"] for row in rows if row.get("suppressions")}


def decide(folder: Path, results: dict[str, object], *, expires: str) -> None:
    findings = [f for f in results["findings"] if f["status"] in OPEN]
    assert findings
    rows = [PEOPLE | {"finding": finding["id"], "expires": expires} for finding in findings]
    (folder / "decisions.yaml").write_text(yaml.safe_dump({"accepted": rows}))


def test_accepted_findings_do_not_fail_a_run_until_they_expire(tmp_path: Path) -> None:
    (tmp_path / "decisions.yaml").write_text("accepted: []\n")
    report = {"formats": ["html"], "decisions": "decisions.yaml"}
    audit = written(tmp_path, DIGITS, attacks=["membership/loss-threshold"], report=report)
    run = ("run", audit, "--fail-on", "inconclusive", "--out", tmp_path / "run")
    assert auditor(*run).returncode == 1
    before = results_of(tmp_path / "run")
    assert auditor("report", tmp_path / "run", "--formats", "sarif").returncode == 0
    assert suppressed(tmp_path / "run") == set()
    decide(tmp_path, before, expires="2999-01-01")
    accepted = auditor(*run)
    assert accepted.returncode == 0, accepted.stderr
    assert "Accepted by A. Assessor until 2999-01-01" in accepted.stderr
    assert results_of(tmp_path / "run")["findings"] == before["findings"]
    assert suppressed(tmp_path / "run") == {f["id"] for f in before["findings"] if f["status"] in OPEN}
    decide(tmp_path, before, expires="2026-11-02")
    expired = auditor(*run)
    assert expired.returncode == 1
    assert "it expired on 2026-11-02" in expired.stderr
    assert suppressed(tmp_path / "run") == set()
    later = auditor("run", audit, "--out", tmp_path / "later", "--against", tmp_path / "run")
    assert later.returncode == 0, later.stderr
    claims = {claim["id"] for claim in results_of(tmp_path / "later")["claims"]}
    assert {"compared:audit_diff", "compared:change_trigger_log"} <= claims
    checked = auditor("verify", tmp_path / "later", "--quick")
    assert checked.returncode == 0, checked.stdout
    kept = json.loads((tmp_path / "later" / "decisions.json").read_text())
    assert kept["schema"] == "auditor.decisions/1"
    (tmp_path / "later" / "release" / "signoff.dpo.p7s").write_bytes(b"signed")
    refused = auditor("run", audit, "--out", tmp_path / "later")
    assert refused.returncode == 2
    assert "is signed" in refused.stderr
