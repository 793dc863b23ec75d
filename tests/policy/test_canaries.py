"""Audits of epsilon judged: a proven bound above the account contradicts it, a heuristic never does, power is said."""

from typing import Any

import pytest

from auditor.core.findings import FindingStatus
from auditor.core.privacy import AccountingReport, EpsilonAudit, EpsilonLowerBound
from auditor.policy.canaries import audit_claims, audit_findings, refutations
from auditor.policy.cap import why_unverified
from auditor.policy.epsilon import sample_of
from auditor.policy.judge import judged
from tests.results_builder import epsilon, results


def bound(value: float, *, ceiling: float = 6.0, proven: bool = True) -> EpsilonLowerBound:
    return EpsilonLowerBound(method="m", epsilon=value, delta=1e-5, level=0.975, ceiling=ceiling, proven=proven)


def audit(*bounds: EpsilonLowerBound, **other: Any) -> EpsilonAudit:
    fields: dict[str, Any] = {
        "name": "mechanism",
        "title": "The mechanism",
        "status": "measured",
        "canaries": 10_000,
        "guesses": 1000,
        "correct": 700,
        "accounted": 2.0,
        "p_value": 1.0,
    }
    return EpsilonAudit(bounds=bounds, **{**fields, **other})


def of(one: EpsilonAudit) -> Any:
    return results(accounting=AccountingReport(epsilon=epsilon(1.9, 1.95, 2.0), audits=(one,)))


@pytest.mark.parametrize(
    ("one", "status", "supports"),
    [
        (audit(bound(1.5)), FindingStatus.WITHIN, True),
        (audit(bound(2.1)), FindingStatus.EXCEEDS, False),
        (audit(bound(0.5), p_value=0.016), FindingStatus.EXCEEDS, False),
        (audit(bound(0.5), p_value=0.018), FindingStatus.WITHIN, True),
        (audit(bound(1.5), bound(5.0, proven=False)), FindingStatus.WITHIN, True),
        (audit(bound(0.5, ceiling=1.9)), FindingStatus.INCONCLUSIVE, None),
        (audit(bound(0.5), accounted=None, p_value=None), FindingStatus.NOT_APPLICABLE, None),
    ],
    ids=["below", "above", "unlikely", "likely enough", "heuristic above", "no power", "no account"],
)
def test_status_and_claim(one: EpsilonAudit, status: FindingStatus, supports: bool | None) -> None:
    (finding,), (claim,) = audit_findings(of(one)), audit_claims(of(one))
    assert finding.status == status
    assert claim.supports is supports
    assert claim.evidence == (finding.id,)
    assert claim.evidence_kind == "dp_empirical_lower_bound"
    assert "could have shown at most" in finding.sentence
    assert ("disagree" in finding.sentence) is (status == FindingStatus.EXCEEDS)


@pytest.mark.parametrize("status", ["failed", "not_run", "not_applicable"])
def test_what_was_not_measured_says_why_and_claims_nothing(status: str) -> None:
    one = of(audit(status=status, reason="the step raised an error"))
    (finding,) = audit_findings(one)
    assert finding.status == status
    assert "because the step raised an error" in finding.sentence
    assert audit_claims(one) == ()


def test_a_disagreement_unsettles_all_that_rests_on_the_account() -> None:
    wrong = judged(of(audit(bound(3.0))))
    ids = [finding.id for finding in wrong.findings]
    assert "accounting:disagreement:mechanism" in ids
    assert why_unverified(wrong, wrong.findings) == "this run found more than the declared privacy allows"
    right = judged(of(audit(bound(1.0))))
    assert not any("disagreement" in finding.id for finding in right.findings)


def test_a_lower_bound_is_never_rounded_up() -> None:
    (finding,) = audit_findings(of(audit(bound(1.9999))))
    assert "at least 1.99 " in finding.sentence


def stated(claimed: float | None, one: EpsilonAudit) -> Any:
    accounting = AccountingReport(epsilon=epsilon(1.9, 1.95, 2.0), claimed_epsilon=claimed, audits=(one,))
    return judged(results(accounting=accounting))


SIMULATED = "for the mechanism as declared and simulated; the deployed code was not seen"


@pytest.mark.parametrize(
    ("one", "played"),
    [
        (audit(bound(1.53)), SIMULATED),
        (audit(bound(1.53), name="code"), "for the private step that epsilon_audit.code"),
    ],
    ids=["simulated", "own code"],
)
def test_a_stated_epsilon_below_the_measured_one_is_refuted_by_measurement(one: EpsilonAudit, played: str) -> None:
    (refuted,) = refutations(stated(1.0, one))
    assert refuted.status == FindingStatus.EXCEEDS
    assert (refuted.low, refuted.limit) == (1.53, 1.0)
    assert f"refuted by measurement, {played}" in refuted.sentence
    assert ": they state 1, and canaries show at least 1.53" in refuted.sentence
    (beside,) = audit_findings(stated(1.0, one))
    assert f"That alone refutes the 1 that the documents state, {played}" in beside.sentence


def test_account_and_canaries_that_find_one_claim_too_small_are_one_finding() -> None:
    above = [f for f in stated(1.0, audit(bound(1.53))).findings if f.status == FindingStatus.EXCEEDS]
    assert [finding.id for finding in above] == ["accounting:claimed_epsilon"]
    assert "recomputed from the settings it is 2 " in above[0].sentence
    assert "than these settings give. The documents' epsilon is refuted" in above[0].sentence
    open_account = AccountingReport(epsilon=epsilon(0.5, 1.95, 2.0), claimed_epsilon=1.0, audits=(audit(bound(1.53)),))
    apart = {f.id for f in judged(results(accounting=open_account)).findings if f.status == FindingStatus.EXCEEDS}
    assert apart == {"accounting:claimed_epsilon:mechanism"}, "where the account leaves it open, canaries settle it"


@pytest.mark.parametrize(
    ("claimed", "one"),
    [
        (1.6, audit(bound(1.53))),
        (None, audit(bound(1.53))),
        (1.0, audit(bound(1.53), accounted=3.0)),
        (1.0, audit(bound(1.53, proven=False))),
    ],
    ids=["above the bound", "not stated", "of other neighbours", "heuristic"],
)
def test_no_other_lower_bound_refutes_a_stated_epsilon(claimed: float | None, one: EpsilonAudit) -> None:
    assert refutations(stated(claimed, one)) == ()


def test_advice_on_canaries_names_a_number_only_where_one_is_within_reach() -> None:
    (near,) = audit_findings(of(audit(bound(0.5, ceiling=1.0))))
    assert near.advice == "Raise epsilon_audit.canaries to about 28,000."
    (far,) = audit_findings(of(audit(bound(3.5, ceiling=6.8), accounted=15.7)))
    assert "No usual number of canaries" in far.advice
    assert "lies 8.9 of epsilon below what the settings account for" in far.advice
    other = audit(bound(0.0, ceiling=2.3), accounted=25.7, name="labels", title="The model itself")
    (labels,) = audit_findings(of(other))
    assert "the test “The model itself”" in labels.advice
    assert "lies 23.4 of epsilon below" in labels.advice


def test_a_claim_about_more_records_than_the_sample_is_not_refuted_by_it() -> None:
    from auditor.core.results import Organisation
    from tests.results_builder import DP_SETTINGS

    settings = DP_SETTINGS | {"privacy": {**DP_SETTINGS["privacy"], "protects": "record"}}
    people = Organisation(data_category="ordinary", release_context="public", subjects=10**6)
    report = AccountingReport(
        epsilon=epsilon(1.9, 1.95, 2.0, sampler="poisson"), claimed_epsilon=1.0, audits=(audit(bound(1.53)),)
    )
    made = results(accounting=report, settings=settings, organisation=people)
    assert sample_of(made) is not None
    found = {f.id: f for f in judged(made).findings}
    assert refutations(judged(made)) == ()
    assert "but for the" in found["accounting:epsilon_audit:mechanism"].sentence
