"""Findings and claims of audits of epsilon: what canaries showed beside what the settings promise."""

import math

from auditor.core.findings import Claim, ClaimKind, Finding, FindingStatus
from auditor.core.measurement import OutcomeStatus
from auditor.core.privacy import AccountingReport, EpsilonAudit, EpsilonLowerBound
from auditor.core.results import Results
from auditor.policy.epsilon import HIGHER, about_the_sample
from auditor.policy.words import number, percent, sentence, two_decimals

_STATUS = {
    OutcomeStatus.NOT_APPLICABLE: FindingStatus.NOT_APPLICABLE,
    OutcomeStatus.NOT_RUN: FindingStatus.NOT_RUN,
    OutcomeStatus.FAILED: FindingStatus.FAILED,
}
_CHECK = "Check privacy.sampling, privacy.noise_multiplier and privacy.clipping against the code that ran."
_HOPELESS = 100
"""From so many times the canaries on, more of them is no advice."""


def shown(audit: EpsilonAudit) -> EpsilonLowerBound | None:
    """The largest lower bound that has a proof; None where there is none. A heuristic one decides nothing."""
    return max((bound for bound in audit.bounds if bound.proven), key=lambda bound: bound.epsilon, default=None)


def could_show(audit: EpsilonAudit) -> float:
    """The largest epsilon that any proven bound could have shown with so many canaries."""
    return max((bound.ceiling for bound in audit.bounds if bound.proven), default=0.0)


def audit_findings(results: Results) -> tuple[Finding, ...]:
    """One finding for each audit of epsilon."""
    return tuple(_finding(audit, _beside_claim(audit, results)) for audit in results.accounting.audits)


def refuted_claim(audit: EpsilonAudit, results: Results) -> float | None:
    """The epsilon that the documents state, where the measured lower bound alone shows it to be too small.

    Only where both speak of the same neighbours, as the headline epsilon does, and the bound holds at its delta: at a
    larger delta a mechanism's epsilon is no larger, so a bound there holds here too. A claim about more records than
    the sample's is not refuted: the mechanism was played with the sampling rate of the sample.
    """
    claimed = _exceeded(audit, results.accounting)
    return claimed if about_the_sample(results) is None else None


def _exceeded(audit: EpsilonAudit, accounting: AccountingReport) -> float | None:
    claimed, epsilon, bound = accounting.claimed_epsilon, accounting.epsilon, shown(audit)
    if claimed is None or epsilon is None or bound is None or audit.status != OutcomeStatus.MEASURED:
        return None
    comparable = audit.accounted == epsilon.upper and bound.delta >= epsilon.delta * (1 - 1e-9)
    return claimed if comparable and bound.epsilon > claimed else None


def _beside_claim(audit: EpsilonAudit, results: Results) -> str:
    """How the lower bound stands to the epsilon that the documents state, where it lies above."""
    claimed, sample = _exceeded(audit, results.accounting), about_the_sample(results)
    if claimed is None:
        return ""
    if sample is None:
        return f" That alone refutes the {number(claimed)} that the documents state, {_played(audit)}."
    return (
        f" That is above the {number(claimed)} that the documents state, but for the {sample.records:,} records of "
        "this run; more records make the same settings stronger."
    )


def _played(audit: EpsilonAudit) -> str:
    """What the canaries played in: the user's own step, or only the tool's simulation of what was declared."""
    if audit.name == "code":
        return "for the private step that epsilon_audit.code names"
    return "for the mechanism as declared and simulated; the deployed code was not seen"


def beside_account(accounted: tuple[Finding, ...], refuted: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Findings of accounting, and what canaries show of the same claim: told once where both find it too small."""
    first, *others = accounted
    if not refuted or first.status != FindingStatus.EXCEEDS:
        return (*accounted, *refuted)
    told = " ".join(finding.sentence for finding in (first, *refuted))
    return (first.model_copy(update={"sentence": told}), *others)


def refutations(results: Results) -> tuple[Finding, ...]:
    """One finding for each audit whose lower bound lies above the epsilon that the documents state."""
    found = []
    for audit in results.accounting.audits:
        claimed, bound = refuted_claim(audit, results), shown(audit)
        if claimed is None or bound is None:
            continue
        value = two_decimals(bound.epsilon, towards="down", apart_from=claimed)
        text = (
            f"The documents' epsilon is refuted by measurement, {_played(audit)}: they state {number(claimed)}, and "
            f"canaries show at least {value} ({percent(audit.level)} confidence; "
            f"{audit.title[:1].lower()}{audit.title[1:]})."
        )
        found.append(
            Finding(
                id=f"accounting:claimed_epsilon:{audit.name}",
                outcome="accounting",
                status=FindingStatus.EXCEEDS,
                metric="epsilon_lower_bound",
                value=bound.epsilon,
                low=bound.epsilon,
                limit=claimed,
                unit="1",
                sentence=text,
                advice=HIGHER,
            )
        )
    return tuple(found)


def audit_claims(results: Results) -> tuple[Claim, ...]:
    """Whether the measured lower bound fits the accounted epsilon, for every audit that was measured."""
    return tuple(
        Claim(
            id=f"measured:epsilon:{audit.name}",
            kind=ClaimKind.MEASUREMENT,
            sentence=_sentence(audit, _beside_claim(audit, results)),
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


def _finding(audit: EpsilonAudit, beside: str) -> Finding:
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
        sentence=_sentence(audit, beside),
        advice=advice,
    )


def _estimated(audit: EpsilonAudit, estimate: float) -> Finding:
    """An estimate without a proof is shown and decides nothing."""
    beside = (
        "" if audit.accounted is None else f" beside at most {two_decimals(audit.accounted, towards='up')} accounted"
    )
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
    return (FindingStatus.WITHIN, "") if _telling(audit) else (FindingStatus.INCONCLUSIVE, _more(audit))


def _more(audit: EpsilonAudit) -> str:
    """How many canaries could show the accounted epsilon: the most that can be shown grows with their logarithm.

    With all of g guesses right, ``log(g / log(1 / beta))`` is about the largest epsilon that error beta leaves.
    """
    short = (audit.accounted or 0.0) - could_show(audit)
    times = math.exp(min(short, 700.0))
    if times > _HOPELESS:
        return (
            f"No usual number of canaries settles the test “{audit.title}”: the most that it could show grows with "
            f"their logarithm, and lies {number(short, towards='up')} of epsilon below what the settings account for. "
            "Read the lower bound for what it is."
        )
    needed = -(-math.ceil(audit.canaries * times) // 1000) * 1000
    return f"Raise epsilon_audit.canaries to about {needed:,}."


def _sentence(audit: EpsilonAudit, beside: str) -> str:
    bound = shown(audit)
    value = two_decimals(bound.epsilon if bound else 0.0, towards="down", apart_from=audit.accounted)
    size = (
        f"Of {audit.canaries:,} canaries, {audit.correct:,} of the {audit.guesses:,} surest guesses were right, "
        f"which shows an epsilon of at least {value} ({percent(audit.level)} confidence)."
    )
    size += beside
    power = f"So many canaries could have shown at most {two_decimals(could_show(audit), towards='down')}."
    if audit.accounted is None:
        return f"{audit.title}: {size} There is no accounted epsilon to compare with. {power}"
    read = ", where a record is replaced by another," if audit.name == "labels" else ""
    accounted = f"The settings account{read} for at most {two_decimals(audit.accounted, towards='up')}."
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
