"""Findings of accounting: what was declared about differential privacy against what the settings and attacks say."""

import math
from typing import NamedTuple

from auditor.core.findings import Finding, FindingStatus
from auditor.core.privacy import AccountingReport, Agreement, EpsilonEstimate, Lint, LintSeverity
from auditor.core.results import Results
from auditor.policy.words import number, sentence, two_decimals

_OUTCOME = "accounting"
HIGHER = "State the recomputed epsilon in privacy.claimed_epsilon, or raise privacy.noise_multiplier."
_LINT_STATUS = {
    LintSeverity.HIGH: FindingStatus.EXCEEDS,
    LintSeverity.MEDIUM: FindingStatus.INCONCLUSIVE,
    LintSeverity.LOW: FindingStatus.INCONCLUSIVE,
}


class Sample(NamedTuple):
    """Records that epsilon was computed for, where people declared that more are in the real training data."""

    records: int
    people: int


def sample_of(results: Results) -> Sample | None:
    """The sample that stood in for the deployment; None where it is the deployment, as far as anybody said.

    With the same settings, more records give a smaller epsilon, so that of a sample refutes no claim about more.
    """
    privacy, people = results.settings.get("privacy") or {}, results.organisation.subjects
    if privacy.get("protects") != "record" or (privacy.get("override") or {}).get("records"):
        return None
    records = next((split.records for split in results.target.splits if split.name == "members"), None)
    return Sample(records, people) if records and people and people > records else None


def about_the_sample(results: Results) -> Sample | None:
    """The sample, where epsilon falls with more records and more were declared: a claim about them is not judged."""
    epsilon = results.accounting.epsilon
    return sample_of(results) if epsilon is not None and _falls_with_records(epsilon) else None


def accounting_findings(accounting: AccountingReport, sample: Sample | None = None) -> tuple[Finding, ...]:
    """The claimed epsilon against the recomputed one, then one finding for each rule that fired."""
    return (_epsilon(accounting, sample), *(_lint(lint) for lint in accounting.lints))


def bracket(epsilon: EpsilonEstimate) -> str:
    """``3.1 (between 3.05 and 3.12, at delta 1e-05)``; the ends are rounded outwards."""
    if math.isinf(epsilon.upper):
        return "infinite"
    low, high = two_decimals(epsilon.lower, towards="down"), two_decimals(epsilon.upper, towards="up")
    return f"{number(epsilon.estimate)} (between {low} and {high}, at delta {epsilon.delta:g})"


def _epsilon(accounting: AccountingReport, sample: Sample | None) -> Finding:
    epsilon, claimed = accounting.epsilon, accounting.claimed_epsilon
    if epsilon is None:
        return _unknown(accounting)
    if claimed is None:
        return _unclaimed(epsilon)
    return _compared(epsilon, claimed, sample)


def _unknown(accounting: AccountingReport) -> Finding:
    why = accounting.reason.strip().rstrip(".") or "no reason was recorded"
    claimed = accounting.claimed_epsilon
    if claimed is None:
        return _finding("epsilon", FindingStatus.NOT_APPLICABLE, f"Epsilon was not computed, because {why}.")
    return _finding(
        "claimed_epsilon",
        FindingStatus.INCONCLUSIVE,
        f"The documents state epsilon {number(claimed)}. It could not be checked, because {why}.",
        limit=claimed,
        advice="Declare the mechanism so that it can be recomputed, or take out privacy.claimed_epsilon.",
    )


def _unclaimed(epsilon: EpsilonEstimate) -> Finding:
    if math.isinf(epsilon.upper):
        text = (
            "No bound from differential privacy was found: epsilon is infinite. "
            "Nothing but the attacks of this run says what can be learned"
        )
    else:
        text = f"Epsilon, recomputed from the settings, is {bracket(epsilon)}. The documents state none to compare with"
    return _finding("epsilon", FindingStatus.NOT_APPLICABLE, sentence(text), epsilon=epsilon)


def _compared(epsilon: EpsilonEstimate, claimed: float, sample: Sample | None) -> Finding:
    said = (
        f"The documents state epsilon {number(claimed)}; recomputed from the settings it is {bracket(epsilon)}. "
        "The smaller epsilon is, the stronger the protection."
    )
    name, advice = "claimed_epsilon", ""
    if epsilon.agreement == Agreement.DISPUTED:
        status, why = FindingStatus.INCONCLUSIVE, "The accountants disagree, so the claim is not judged."
        advice = "Read the accountants' answers in the report and ask for a check by hand."
    elif claimed < epsilon.lower and sample is not None and _falls_with_records(epsilon):
        status = FindingStatus.INCONCLUSIVE
        why = (
            f"That is for the {sample.records:,} records of this run. {sample.people:,} people were declared, and with "
            "more records the same settings give a smaller epsilon, so the claim is not judged."
        )
        advice = "Name the records of the deployment in privacy.override.records, with the reason."
    elif claimed < epsilon.lower:
        status, why, advice = FindingStatus.EXCEEDS, "The claim promises more than these settings give.", HIGHER
    elif claimed >= epsilon.upper:
        status, why = FindingStatus.WITHIN, "The claim holds for the mechanism as it was declared."
    elif epsilon.exactness == "bound" or math.isinf(epsilon.upper):
        status, why, advice = FindingStatus.INCONCLUSIVE, "Only a bound is known, and it is above the claim.", HIGHER
    else:
        status, why, advice = (
            FindingStatus.INCONCLUSIVE,
            "The claim lies between the two ends, so it cannot be decided.",
            HIGHER,
        )
    return _finding(name, status, f"{said} {why}", epsilon=epsilon, limit=claimed, advice=advice)


def _falls_with_records(epsilon: EpsilonEstimate) -> bool:
    return math.isfinite(epsilon.upper) and epsilon.sampler != "full"


def _lint(lint: Lint) -> Finding:
    return _finding(
        f"lint:{lint.id}",
        _LINT_STATUS[lint.severity],
        f"{sentence(lint.title)} {sentence(lint.found)}".strip(),
        advice=sentence(lint.remedy),
    )


def _finding(
    name: str,
    status: FindingStatus,
    text: str,
    *,
    epsilon: EpsilonEstimate | None = None,
    limit: float | None = None,
    advice: str = "",
) -> Finding:
    return Finding(
        id=f"{_OUTCOME}:{name}",
        outcome=_OUTCOME,
        status=status,
        metric="epsilon" if epsilon else "",
        value=epsilon.estimate if epsilon else None,
        low=epsilon.lower if epsilon else None,
        high=epsilon.upper if epsilon else None,
        limit=limit,
        unit="1" if epsilon else "",
        sentence=text,
        advice=advice,
    )
