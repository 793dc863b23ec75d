"""How many findings of each kind a run has, and how many attack runs were planned: counted here, for every reader."""

from collections import Counter

from auditor.core.findings import Finding, FindingStatus
from auditor.core.measurement import Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.report.describe import WEIGHT
from auditor.report.formatting import number
from auditor.report.strings import Strings
from auditor.report.worst import tests


def counted(results: Results) -> list[Finding]:
    """Findings on the audited setting; what does not apply and what tests the attacks found nothing about it."""
    controls = {outcome.key for outcome in results.outcomes if outcome.control}
    return [
        finding
        for finding in results.findings
        if finding.status != FindingStatus.NOT_APPLICABLE
        and finding.outcome not in controls
        and not without_figure(finding, results)
    ]


def without_figure(finding: Finding, results: Results) -> bool:
    """Is this about a limit that no attack of its adversary gave a figure for, and not about an attack?"""
    return finding.status == FindingStatus.NOT_RUN and finding.outcome in {s.name for s in results.scenarios}


def overall(results: Results, words: Strings) -> str:
    """One sentence built from counts; never a grade."""
    findings = counted(results)
    silent = sum(without_figure(finding, results) for finding in results.findings)
    if not findings and not silent:
        return words.plain("overall.none")
    counts = Counter(finding.status for finding in findings)
    parts = [
        words.plain(f"overall.{status}", count=number(counts[status]))
        for status in sorted(FindingStatus, key=WEIGHT.__getitem__)
        if counts[status]
    ]
    text = words.plain("overall.sentence", total=number(len(findings)), parts=", ".join(parts)) if findings else ""
    said = words.plain("overall.silent", count=number(silent)) if silent else ""
    return " ".join(part for part in (text, said) if part)


def planned(results: Results) -> list[Outcome]:
    """Attack runs on the audited setting that could be carried out here; controls test the attacks."""
    return [o for o in tests(results) if o.status != OutcomeStatus.NOT_APPLICABLE]
