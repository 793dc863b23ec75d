"""Findings and claims of audits of epsilon: what canaries showed beside what the settings promise."""

from auditor.core.findings import Claim, ClaimKind, Finding, FindingStatus
from auditor.core.measurement import OutcomeStatus
from auditor.core.privacy import EpsilonAudit, EpsilonLowerBound
from auditor.core.results import Results
from auditor.policy.words import number, percent, sentence

_STATUS = {
    OutcomeStatus.NOT_APPLICABLE: FindingStatus.NOT_APPLICABLE,
    OutcomeStatus.NOT_RUN: FindingStatus.NOT_RUN,
    OutcomeStatus.FAILED: FindingStatus.FAILED,
}
_CHECK = "Check privacy.sampling, privacy.noise_multiplier and privacy.clipping against the code that ran."
_MORE = "Raise epsilon_audit.canaries."


def shown(audit: EpsilonAudit) -> EpsilonLowerBound | None:
    """The largest lower bound that has a proof; None where there is none. A heuristic one decides nothing."""
    return max((bound for bound in audit.bounds if bound.proven), key=lambda bound: bound.epsilon, default=None)


def could_show(audit: EpsilonAudit) -> float:
    """The largest epsilon that any proven bound could have shown with so many canaries."""
    return max((bound.ceiling for bound in audit.bounds if bound.proven), default=0.0)


def audit_findings(results: Results) -> tuple[Finding, ...]:
    """One finding for each audit of epsilon."""
    return tuple(_finding(audit) for audit in results.accounting.audits)


def audit_claims(results: Results) -> tuple[Claim, ...]:
    """Whether the measured lower bound fits the accounted epsilon, for every audit that was measured."""
    return tuple(
        Claim(
            id=f"measured:epsilon:{audit.name}",
            kind=ClaimKind.MEASUREMENT,
            sentence=_sentence(audit),
            evidence_kind="dp_empirical_lower_bound",
            supports=_supports(audit),
            evidence=(finding.id,),
        )
        for audit, finding in zip(results.accounting.audits, audit_findings(results), strict=True)
        if audit.status == OutcomeStatus.MEASURED and shown(audit) is not None
    )


def _supports(audit: EpsilonAudit) -> bool | None:
    if audit.refuted:
        return False
    return True if _telling(audit) else None


def _telling(audit: EpsilonAudit) -> bool:
    """Could this audit have shown more than was accounted?"""
    return audit.accounted is not None and could_show(audit) > audit.accounted


def _finding(audit: EpsilonAudit) -> Finding:
    bound = shown(audit)
    if audit.status == OutcomeStatus.MEASURED and bound is None and audit.estimate is not None:
        return _estimated(audit, audit.estimate)
    if audit.status != OutcomeStatus.MEASURED or bound is None:
        return Finding(
            id=f"accounting:epsilon_audit:{audit.name}",
            outcome="accounting",
            status=_STATUS.get(audit.status, FindingStatus.NOT_RUN),
            sentence=sentence(f"{audit.title}: no lower bound on epsilon, because {audit.reason or 'it did not run'}"),
        )
    status, advice = _status(audit)
    return Finding(
        id=f"accounting:{'disagreement' if audit.refuted else 'epsilon_audit'}:{audit.name}",
        outcome="accounting",
        status=status,
        metric="epsilon_lower_bound",
        value=bound.epsilon,
        low=bound.epsilon,
        limit=audit.accounted,
        unit="1",
        sentence=_sentence(audit),
        advice=advice,
    )


def _estimated(audit: EpsilonAudit, estimate: float) -> Finding:
    """An estimate without a proof is shown and decides nothing."""
    beside = "" if audit.accounted is None else f" beside at most {number(audit.accounted, towards='up')} accounted"
    return Finding(
        id=f"accounting:epsilon_estimate:{audit.name}",
        outcome="accounting",
        status=FindingStatus.NOT_APPLICABLE,
        metric="epsilon_estimate",
        value=estimate,
        unit="1",
        sentence=f"{audit.title}: {audit.canaries:,} canaries give an estimate of epsilon of {number(estimate)}{beside}"
        ". The estimate is heuristic, has no error bar and decides nothing.",
    )


def _status(audit: EpsilonAudit) -> tuple[FindingStatus, str]:
    if audit.refuted:
        return FindingStatus.EXCEEDS, _CHECK
    if audit.accounted is None:
        return FindingStatus.NOT_APPLICABLE, ""
    return (FindingStatus.WITHIN, "") if _telling(audit) else (FindingStatus.INCONCLUSIVE, _MORE)


def _sentence(audit: EpsilonAudit) -> str:
    bound = shown(audit)
    value = number(bound.epsilon if bound else 0.0, towards="down", apart_from=audit.accounted)
    size = (
        f"Of {audit.canaries:,} canaries, {audit.correct:,} of the {audit.guesses:,} surest guesses were right, "
        f"which shows an epsilon of at least {value} ({percent(audit.level)} confidence)."
    )
    power = f"So many canaries could have shown at most {number(could_show(audit), towards='down')}."
    if audit.accounted is None:
        return f"{audit.title}: {size} There is no accounted epsilon to compare with. {power}"
    read = ", where a record is replaced by another," if audit.name == "labels" else ""
    accounted = f"The settings account{read} for at most {number(audit.accounted, towards='up')}."
    if not audit.refuted:
        return f"{audit.title}: {size} {accounted} {power}"
    chance = "" if audit.p_value is None else _chance(audit)
    return f"The declared settings and the running code disagree. {audit.title}: {size} {accounted}{chance} {power}"


def _chance(audit: EpsilonAudit) -> str:
    most = percent(max(audit.p_value or 0.0, 1e-6), towards="up")
    return (
        f" Under them, {audit.curve_correct:,} right ones among the {audit.curve_guesses:,} surest guesses have a "
        f"chance of at most {most}."
    )
