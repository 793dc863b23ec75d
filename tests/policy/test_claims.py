import pytest

from auditor.controls.catalogue import vocabulary
from auditor.core.findings import ClaimKind, FindingStatus
from auditor.core.measurement import OutcomeStatus
from auditor.core.privacy import AccountingReport, Lint, LintSeverity
from auditor.core.results import Organisation
from auditor.core.shape import ModelState
from auditor.policy.claims import verdict
from auditor.policy.judge import judged
from tests.results_builder import (
    DP_SETTINGS,
    NO_PRIVACY,
    caps,
    epsilon,
    inversion,
    measurement,
    outcome,
    recovered,
    released,
    results,
    server,
)


def claims(*outcomes, **other):
    made = judged(results(*outcomes, **other)).claims
    assert len({claim.id for claim in made}) == len(made)
    assert {claim.evidence_kind for claim in made} <= vocabulary().keys()
    return {claim.id: claim for claim in made}


@pytest.mark.parametrize(("low", "high", "supports"), [(0.01, 0.03, True), (0.06, 0.08, False), (0.03, 0.08, None)])
def test_a_measured_claim_follows_its_findings(low, high, supports):
    claim = claims(outcome(measurement((low + high) / 2, low, high)))["measured:membership"]
    assert claim.supports is supports
    assert claim.kind == ClaimKind.MEASUREMENT
    assert claim.evidence == ("released-model:membership/lira@trained:tpr_at_fpr[fpr=0.01]",)


def test_one_failed_attack_leaves_the_claim_open_and_one_that_does_not_apply_does_not():
    good = outcome(measurement(0.02, 0.01, 0.03))
    failed = outcome(status=OutcomeStatus.FAILED, attack="membership/rmia")
    absent = outcome(status=OutcomeStatus.NOT_APPLICABLE, attack="membership/rmia")
    assert claims(good, failed)["measured:membership"].supports is None
    assert claims(good, absent)["measured:membership"].supports is True


def test_without_a_measurement_there_is_no_claim():
    made = claims(outcome(status=OutcomeStatus.FAILED), inversion(status=OutcomeStatus.NOT_APPLICABLE))
    assert not any(name.startswith("measured:") for name in made)


def test_verdict_of_nothing_is_open():
    assert verdict([]) is None
    status = FindingStatus.NOT_APPLICABLE
    made = judged(results()).findings
    assert verdict([finding for finding in made if finding.status == status]) is None


def test_an_unclean_control_takes_the_answer_away():
    trained, initial = measurement(0.5, 0.4, 0.6), measurement(0.2, 0.15, 0.25)
    made = claims(outcome(trained), outcome(initial, state=ModelState.INITIAL))
    assert made["measured:membership"].supports is None
    assert made["measured:controls:membership"].supports is False
    clean = claims(outcome(trained), outcome(measurement(0.01, 0.005, 0.02), state=ModelState.INITIAL))
    assert clean["measured:membership"].supports is False
    assert clean["measured:controls:membership"].supports is True


def test_the_control_of_reconstruction_is_its_calibrated_null():
    assert claims(inversion(recovered(0.0, 0.0, 0.05)))["measured:controls:reconstruction"].supports is True
    assert (
        claims(inversion(recovered(0.0, 0.0, 0.05, floor=0.11)))["measured:controls:reconstruction"].supports is False
    )
    assert "measured:controls:reconstruction" not in claims(inversion(recovered(0.0, 0.0, 0.05, floor=None)))


def test_the_server_is_a_claim_of_its_own():
    made = claims(inversion(recovered(0.5, 0.4, 0.6)), outcome(measurement(0.02, 0.01, 0.03)))
    assert made["measured:server"].supports is False
    assert made["measured:membership"].supports is True
    active = claims(inversion(recovered(0.5, 0.4, 0.6)), scenarios=(server(behaviour="active"),))
    assert "measured:server" not in active


def test_sums_are_compared_by_whole_intervals():
    both = (server(), server(name="sums", grants=("aggregate_update",)))
    single = inversion(recovered(0.5, 0.4, 0.6))
    lower = claims(single, inversion(recovered(0.1, 0.05, 0.2), scenario="sums"), scenarios=both)
    assert lower["measured:sums"].supports is True
    same = claims(single, inversion(recovered(0.4, 0.3, 0.5), scenario="sums"), scenarios=both)
    assert same["measured:sums"].supports is None
    assert "measured:sums" not in claims(single)
    other = inversion(recovered(0.1, 0.05, 0.2), scenario="sums", attack="inversion/linear-layer")
    assert "measured:sums" not in claims(single, other, scenarios=both)


def test_precision_at_undeclared_priors_judges_nothing():
    precise = measurement(0.8, 0.7, 0.9, metric="precision", at={"fpr": 0.01, "prior": 0.5})
    assert claims(outcome(measurement(), precise))["measured:precision"].supports is None


def dp(**other):
    fields = {"epsilon": epsilon(), "caps": caps((0.001, 0.002), (0.01, 0.02)), "lints_checked": ("a", "b")} | other
    return {"accounting": AccountingReport(**fields), "settings": DP_SETTINGS}


def lint(severity):
    return Lint(id="L", severity=severity, title="t", found="f", remedy="r", source="s")


def test_a_verified_epsilon_that_keeps_every_limit_supports():
    made = claims(**dp())
    assert made["bound:epsilon"].supports is True
    assert made["bound:epsilon"].kind == ClaimKind.BOUND
    assert made["bound:consistency"].supports is True


@pytest.mark.parametrize(
    ("report", "supports"),
    [
        ({"claimed_epsilon": 0.1}, True),  # the claim is a declaration, judged as one
        ({"claimed_epsilon": 1.0}, True),
        ({"caps": caps((0.01, 0.2))}, None),
        ({"caps": None}, None),
        ({"caps": caps((0.001, 0.002))}, None),
        ({"epsilon": epsilon(*[float("inf")] * 3)}, None),
        ({"epsilon": None, "reason": "unknown mechanism"}, None),
        ({"lints": (lint(LintSeverity.HIGH),)}, None),
    ],
)
def test_what_the_recomputed_epsilon_can_say(report, supports):
    assert claims(**dp(**report))["bound:epsilon"].supports is supports


@pytest.mark.parametrize(
    ("report", "supports"),
    [
        ({"lints": (lint(LintSeverity.HIGH),)}, False),
        ({"lints": (lint(LintSeverity.LOW),)}, None),
        ({"lints_checked": ()}, None),
    ],
)
def test_consistency_of_the_declaration(report, supports):
    assert claims(**dp(**report))["bound:consistency"].supports is supports


def test_without_a_mechanism_nothing_is_claimed_of_one():
    made = claims(outcome(measurement()))
    assert not any(name.startswith("bound:") for name in made)
    stated = claims(accounting=NO_PRIVACY.model_copy(update={"claimed_epsilon": 1.0}))
    assert stated["bound:epsilon"].supports is None


@pytest.mark.parametrize("claimed", [0.01, 0.4, 1.0, 100.0])
def test_what_people_state_as_epsilon_moves_nothing_about_the_bound(claimed):
    stated, silent = claims(**dp(claimed_epsilon=claimed)), claims(**dp())
    assert stated["bound:epsilon"].supports is silent["bound:epsilon"].supports
    loose = dp(claimed_epsilon=claimed) | {"accounting": dp(caps=caps((0.01, 0.2)))["accounting"]}
    assert claims(**loose)["bound:epsilon"].supports is None


def likelihood(*outcomes):
    return claims(*outcomes)["record:likelihood_proposal"]


def test_a_likelihood_that_is_not_known_supports_nothing():
    known = outcome(measurement(0.03, 0.02, 0.04))
    assert likelihood(known).supports is True
    wide = inversion(recovered(0.1, 0.0, 0.6))
    found = likelihood(known, wide)
    assert (found.supports, "2 feared events; for 1 it is not known." in found.sentence) == (None, True)
    least = likelihood(known, outcome(status=OutcomeStatus.NOT_RUN, attack="membership/rmia", reasons=("budget",)))
    assert least.supports is None
    assert "for 1 only the least is known" in least.sentence
    assert "record:likelihood_proposal" not in claims()


def test_membership_sensitivity_is_a_declaration():
    people = Organisation(data_category="ordinary", release_context="public", membership_is_sensitive=False)
    claim = claims(organisation=people)["declared:cohort"]
    assert (claim.kind, claim.supports) == (ClaimKind.DECLARATION, None)
    assert "declared:cohort" not in claims()


def test_records_need_what_they_record():
    run = results(outcome(measurement(), effort={}))
    bare = run.model_copy(
        update={
            "run": run.run.model_copy(update={"protocol_sha256": "", "environment": {}, "finished": ""}),
            "target": run.target.model_copy(update={"splits": (), "layers": {}, "model_sha256": ""}),
        }
    )
    made = {claim.evidence_kind for claim in judged(bare).claims}
    absent = {
        "test_protocol_prereg",
        "run_provenance",
        "finding_timestamp",
        "data_fingerprint",
        "model_fingerprint",
        "update_payload_inventory",
        "attacker_effort_record",
        "attacker_profile_matrix",
    }
    assert not absent & made
    assert absent - {"attacker_profile_matrix"} <= {c.evidence_kind for c in claims(outcome(measurement())).values()}


def test_limits_are_needed_for_a_protocol():
    silent = released().model_copy(update={"thresholds": ()})
    assert "record:test_protocol_prereg" not in claims(scenarios=(silent,))


def test_judging_is_pure_and_can_be_repeated():
    run = results(outcome(measurement(0.123, 0.101, 0.16)), inversion(recovered(0.1, 0.05, 0.2)))
    once = judged(run)
    assert judged(once) == once
    assert run.findings == ()
    untouched = set(type(run).model_fields) - {"findings", "claims", "coverage", "risks", "limits"}
    assert all(getattr(run, name) == getattr(once, name) for name in untouched)
