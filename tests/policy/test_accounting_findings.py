import math

import pytest

from auditor.core.findings import FindingStatus
from auditor.core.privacy import AccountingReport, Agreement, Lint, LintSeverity
from auditor.core.shape import ModelState
from auditor.policy.disagreement import disagreements, highest_fpr
from auditor.policy.epsilon import Sample, accounting_findings, sample_of
from auditor.policy.judge import judged
from tests.results_builder import DP_SETTINGS, NO_PRIVACY, caps, epsilon, measurement, outcome, released, results


def claimed(claim, **other):
    return accounting_findings(AccountingReport(epsilon=epsilon(**other), claimed_epsilon=claim))[0]


def test_a_claim_below_the_recomputed_lower_end_exceeds():
    found = claimed(0.3)
    assert found.status == FindingStatus.EXCEEDS
    assert "0.3" in found.sentence
    assert "0.5 (between 0.49 and 0.51, at delta 1e-05)" in found.sentence
    assert "privacy.claimed_epsilon" in found.advice
    assert (found.low, found.high, found.limit) == (0.49, 0.51, 0.3)


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        (0.489, FindingStatus.EXCEEDS),
        (0.49, FindingStatus.INCONCLUSIVE),
        (0.5, FindingStatus.INCONCLUSIVE),
        (0.51, FindingStatus.WITHIN),
        (8.0, FindingStatus.WITHIN),
        (0.0, FindingStatus.EXCEEDS),
    ],
)
def test_the_claim_is_held_against_the_whole_bracket(claim, status):
    assert claimed(claim).status == status


def test_a_claim_about_more_records_is_not_refuted_by_a_sample():
    report = AccountingReport(epsilon=epsilon(), claimed_epsilon=0.3)
    found = accounting_findings(report, Sample(records=228, people=569))[0]
    assert found.status == FindingStatus.INCONCLUSIVE
    assert "228 records of this run" in found.sentence
    assert "privacy.override.records" in found.advice
    whole = report.model_copy(update={"epsilon": epsilon(sampler="full")})
    assert accounting_findings(whole, Sample(records=228, people=569))[0].status == FindingStatus.EXCEEDS
    assert accounting_findings(NO_PRIVACY.model_copy(update={"claimed_epsilon": 3.0}), Sample(1, 2))[0].status == (
        FindingStatus.EXCEEDS
    )


def test_a_sample_is_one_where_more_people_were_declared():
    run = results(settings={"privacy": {"mechanism": "dp_sgd", "protects": "record"}})
    members = next(split.records for split in run.target.splits if split.name == "members")
    declared = {"organisation": run.organisation.model_copy(update={"subjects": members + 1})}
    assert sample_of(run.model_copy(update=declared)) == Sample(members, members + 1)
    fewer = {"organisation": run.organisation.model_copy(update={"subjects": members})}
    assert sample_of(run.model_copy(update=fewer)) is None


def test_disputed_accountants_decide_nothing():
    for claim in (0.1, 8.0):
        assert claimed(claim, agreement=Agreement.DISPUTED).status == FindingStatus.INCONCLUSIVE


def test_a_mere_bound_above_the_claim_is_inconclusive():
    found = accounting_findings(
        AccountingReport(epsilon=epsilon(0.0, 5.0, 5.0, exactness="bound"), claimed_epsilon=3.0)
    )[0]
    assert found.status == FindingStatus.INCONCLUSIVE
    assert "Only a bound" in found.sentence


def test_infinite_epsilon_without_a_claim_is_stated_and_no_gate():
    found = accounting_findings(NO_PRIVACY)[0]
    assert found.status == FindingStatus.NOT_APPLICABLE
    assert "infinite" in found.sentence
    assert found.value == math.inf


def test_infinite_epsilon_with_a_claim_exceeds():
    found = accounting_findings(NO_PRIVACY.model_copy(update={"claimed_epsilon": 3.0}))[0]
    assert found.status == FindingStatus.EXCEEDS
    assert "it is infinite" in found.sentence


def test_no_epsilon():
    report = AccountingReport(epsilon=None, reason="dp_ftrl has no bound here.")
    assert accounting_findings(report)[0].status == FindingStatus.NOT_APPLICABLE
    unchecked = accounting_findings(report.model_copy(update={"claimed_epsilon": 3.0}))[0]
    assert unchecked.status == FindingStatus.INCONCLUSIVE
    assert "because dp_ftrl has no bound here." in unchecked.sentence


@pytest.mark.parametrize(
    ("severity", "status"),
    [
        (LintSeverity.HIGH, FindingStatus.EXCEEDS),
        (LintSeverity.MEDIUM, FindingStatus.INCONCLUSIVE),
        (LintSeverity.LOW, FindingStatus.INCONCLUSIVE),
    ],
)
def test_a_rule_that_fired_is_a_finding(severity, status):
    lint = Lint(id="M3", severity=severity, title="shuffled is not poisson", found="it says so", remedy="x", source="s")
    found = accounting_findings(NO_PRIVACY.model_copy(update={"lints": (lint,)}))[1]
    assert (found.id, found.status) == ("accounting:lint:M3", status)
    assert found.sentence == "Shuffled is not poisson. It says so."


CAPPED = AccountingReport(epsilon=epsilon(), caps=caps((0.001, 0.0017), (0.01, 0.017), (0.02, 0.033), (1.0, 1.0)))


def disagreeing(*outcomes, accounting=CAPPED, **other):
    return disagreements(results(*outcomes, accounting=accounting, settings=DP_SETTINGS, **other))


def test_a_rate_wholly_above_the_cap_says_that_settings_and_code_disagree():
    (found,) = disagreeing(outcome(measurement(0.5, 0.4, 0.6)))
    assert found.status == FindingStatus.EXCEEDS
    assert found.sentence.startswith("The declared settings and the running code disagree.")
    assert "another seed" in found.sentence
    assert "privacy.noise_multiplier" in found.advice


def test_the_cap_is_read_where_the_false_positive_rate_may_really_be():
    assert highest_fpr(0.01, 1000) == pytest.approx(0.0183, abs=1e-4)  # Clopper-Pearson, 10 of 1000
    assert highest_fpr(0.001, 1000) == pytest.approx(0.00556, abs=1e-5)
    assert highest_fpr(0.01, 0) == 1.0
    (found,) = disagreeing(outcome(measurement(0.5, 0.4, 0.6)))
    assert found.limit == 0.033
    assert not disagreeing(outcome(measurement(0.03, 0.02, 0.04)))


def test_an_interval_over_nonmembers_already_allows_for_it():
    rate = measurement(0.03, 0.02, 0.04)
    both = rate.model_copy(update={"interval": rate.interval.model_copy(update={"over": "members and non-members"})})
    (found,) = disagreeing(outcome(both))
    assert found.limit == 0.017


@pytest.mark.parametrize(
    "harmless",
    [
        outcome(measurement(0.5, 0.4, 0.6), state=ModelState.INITIAL),
        outcome(measurement(0.5, 0.4, 0.6), state=None),
        outcome(measurement(0.5, 0.4, 0.6, protects="client")),
        outcome(measurement(0.5, 0.4, 0.6, metric="auc")),
        outcome(measurement(0.5, 0.4, 0.6), attack_class="reconstruction"),
        outcome(measurement(None, None, None, refused="few")),
        outcome(measurement(0.03, 0.033, 0.04)),
    ],
)
def test_nothing_else_may_be_held_against_the_cap(harmless):
    assert not disagreeing(harmless)


def test_no_cap_no_disagreement():
    success = outcome(measurement(0.5, 0.4, 0.6))
    assert not disagreeing(success, accounting=NO_PRIVACY)
    assert not disagreeing(success, scenarios=(released(grants=("client_update",)),))
    assert not disagreeing(success, accounting=CAPPED.model_copy(update={"caps": caps((0.001, 0.0017))}))


def test_a_disagreement_contradicts_the_declared_settings():
    run = judged(results(outcome(measurement(0.5, 0.4, 0.6)), accounting=CAPPED, settings=DP_SETTINGS))
    claim = next(c for c in run.claims if c.evidence_kind == "dp_config_consistency")
    assert claim.supports is False
