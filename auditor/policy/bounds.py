"""Claims that rest on differential privacy: the recomputed epsilon, and whether the declaration is sound."""

import math
from collections.abc import Sequence

from auditor.core.findings import Claim, ClaimKind, Finding
from auditor.core.privacy import LintSeverity
from auditor.core.results import Results
from auditor.policy import keys
from auditor.policy.cap import why_unverified
from auditor.policy.epsilon import bracket
from auditor.policy.words import one_in, percent, sentence


def bound_claims(results: Results, findings: Sequence[Finding]) -> tuple[Claim, ...]:
    """One claim each for ``dp_epsilon_recomputed`` and ``dp_config_consistency``, where a mechanism is declared."""
    privacy = results.settings.get("privacy") or {}
    if privacy.get("mechanism", "none") == "none" and results.accounting.claimed_epsilon is None:
        return ()
    accounting = [finding for finding in findings if finding.id.startswith("accounting:")]
    return (_epsilon(results, accounting), _consistency(results, accounting))


def _epsilon(results: Results, findings: Sequence[Finding]) -> Claim:
    supports, text = _strength(results, findings)
    return Claim(
        id="bound:epsilon",
        kind=ClaimKind.BOUND,
        sentence=text,
        evidence_kind="dp_epsilon_recomputed",
        supports=supports,
        evidence=tuple(finding.id for finding in findings if finding.metric == "epsilon"),
    )


def _strength(results: Results, findings: Sequence[Finding]) -> tuple[bool | None, str]:
    """Supports only where the bound itself, verified, keeps membership at every limit that was fixed for it.

    It never contradicts: a bound that is too loose shows no leak. Neither does a stated epsilon that is too small;
    it is a declaration, and judged as one.
    """
    epsilon = results.accounting.epsilon
    if epsilon is None:
        return None, sentence(f"Epsilon was not recomputed: {results.accounting.reason or 'no reason was recorded'}")
    if math.isinf(epsilon.upper):
        return None, "Epsilon is infinite: differential privacy bounds nothing here."
    said = f"Epsilon, recomputed for one {epsilon.unit}, is {bracket(epsilon)}"
    open_limit = _first_open_limit(results)
    if open_limit:
        return None, f"{said}; {open_limit}."
    unverified = why_unverified(results, findings)
    if unverified:
        return None, f"{said}, but {unverified}."
    return True, f"{said}; it keeps every attack on membership within the limits fixed for it."


def _first_open_limit(results: Results) -> str:
    """The first limit on membership that the bound does not reach; empty where it reaches all."""
    caps = results.accounting.caps
    limits = [
        (dict(key.at)["fpr"], threshold.limit)
        for scenario in results.scenarios
        for threshold in scenario.thresholds
        if (key := keys.parsed(threshold.metric)).metric == "tpr_at_fpr" and "fpr" in dict(key.at)
    ]
    if caps is None or not limits:
        return "no limit was fixed that it could be compared with"
    epsilon = results.accounting.epsilon
    units = "clients" if epsilon is not None and epsilon.unit == "client" else "training records"
    for fpr, limit in limits:
        cap = next((point.tpr for point in sorted(caps.roc, key=lambda p: p.fpr) if point.fpr >= fpr), 1.0)
        if cap > limit:
            return (
                f"that alone would let an attack recognise {percent(cap, towards='up')} of {units} while "
                f"{one_in(fpr)} of the others are named, which is above the limit of {percent(limit)}"
            )
    return ""


def _consistency(results: Results, findings: Sequence[Finding]) -> Claim:
    lints = results.accounting.lints
    disagree = [finding.id for finding in findings if finding.id.startswith("accounting:disagreement:")]
    fired = [f"accounting:lint:{lint.id}" for lint in lints]
    if disagree:
        supports, text = False, "The declared settings and the running code disagree."
    elif any(lint.severity == LintSeverity.HIGH for lint in lints):
        supports, text = False, "The declared privacy settings contradict each other or the federation."
    elif lints or not results.accounting.lints_checked:
        supports, text = None, "The declared privacy settings leave questions open."
    else:
        checked = len(results.accounting.lints_checked)
        supports, text = (
            True,
            f"None of {checked} rules on misdeclared settings fired. A stated epsilon is judged apart.",
        )
    return Claim(
        id="bound:consistency",
        kind=ClaimKind.BOUND,
        sentence=text,
        evidence_kind="dp_config_consistency",
        supports=supports,
        evidence=tuple(disagree + fired),
    )
