import datetime
import re

import pytest

from auditor.controls.catalogue import available_catalogues
from auditor.controls.status import mapped
from auditor.core.errors import AuditorError
from auditor.core.findings import ControlStatus, Threshold
from auditor.core.privacy import AccountingReport
from auditor.core.results import Results
from auditor.core.shape import ModelState, Task
from auditor.policy.judge import judged
from tests.results_builder import (
    DP_SETTINGS,
    SETTINGS,
    caps,
    epsilon,
    inversion,
    measurement,
    outcome,
    recovered,
    results,
    server,
)

TODAY = datetime.date(2026, 11, 20)
S = ControlStatus
CONTROL = outcome(measurement(0.01, 0.005, 0.02), state=ModelState.INITIAL)
GOOD = (outcome(measurement(0.02, 0.01, 0.03)), CONTROL, inversion(recovered(0.0, 0.0, 0.05)))
BAD = (outcome(measurement(0.5, 0.4, 0.6)), CONTROL, inversion(recovered(0.5, 0.4, 0.6)))
LATIN = re.compile(r"\b(compliant|certified|guarantee[sd]?|safe)\b", re.IGNORECASE)


def rows(*outcomes, names=None, today=TODAY, **other):
    run = mapped(judged(results(*outcomes, **other)), names or available_catalogues(), today=today)
    return {row.id: row for row in run.controls}


def test_results_within_limits_support_confidentiality_and_leave_the_rest_open():
    made = rows(*GOOD)
    assert made["gdpr-art-5-1-f"].status == S.SUPPORTS
    assert "until 20 November 2027" in made["gdpr-art-5-1-f"].reason
    for duty in ("gdpr-art-28", "gdpr-art-35-1", "gdpr-art-5-1-a", "aia-art-27-1", "iso42001-cl-9.2"):
        assert made[duty].status == S.OUTSIDE_REACH, duty
        assert "material for it from this run" in made[duty].reason
    assert made["gdpr-art-35-7-c"].status == S.SUPPORTS
    assert made["AML.T0024.000"].status == S.SUPPORTS
    assert made["gdpr-art-32-1-b"].status == S.INCONCLUSIVE, "one run says nothing about time"
    assert made["gdpr-art-32-1-d"].status == S.INCONCLUSIVE, "one run is no regular testing"
    assert made["edpb-op-28-2024-par-43"].status == S.INCONCLUSIVE, "no per-record test"
    assert made["edpb-op-28-2024-par-55"].status == S.INCONCLUSIVE, "three classes were not run"
    assert made["gdpr-art-35-11"].status == S.NOT_TESTED
    assert made["gdpr-art-36"].status == S.NOT_TESTED
    assert made["gdpr-art-35-3"].status == S.OUTSIDE_REACH
    assert made["gdpr-art-35-2-9"].status == S.NOT_TESTED
    assert made["gdpr-art-25-1"].status == S.NOT_TESTED, "no privacy mechanism is declared"


def test_results_beyond_limits_contradict_what_must_be_achieved_and_feed_what_must_be_assessed():
    made = rows(*BAD)
    assert made["gdpr-art-5-1-f"].status == S.CONTRADICTS
    assert made["aia-art-15-5"].status == S.CONTRADICTS
    assert made["AML.T0024.001"].status == S.CONTRADICTS
    assessed = made["gdpr-art-35-7-c"]
    assert assessed.status == S.SUPPORTS
    assert "It asks for the assessment; what that found lies beyond a limit" in assessed.reason
    for name in ("gdpr-art-33-34", "aia-art-73"):
        assert made[name].status == S.INCONCLUSIVE
        assert "calls for an assessment by people" in made[name].reason


def test_an_attack_beyond_a_limit_contradicts_no_duty_of_people():
    people = results(*BAD).organisation.model_copy(update={"data_category": "ordinary"})
    made = rows(*BAD, organisation=people)
    assert made["gdpr-art-28"].status == S.INCONCLUSIVE
    assert made["gdpr-art-9"].status == S.NOT_TESTED
    assert "declared here: ordinary" in made["gdpr-art-9"].reason
    for name in ("aia-art-53", "aia-art-55"):
        assert made[name].status == S.OUTSIDE_REACH
        assert made[name].evidence == ()


def test_a_misstated_epsilon_asks_about_no_incident():
    stated = AccountingReport(epsilon=epsilon(), caps=caps((0.01, 0.02)), lints_checked=("a",), claimed_epsilon=0.1)
    made = rows(*GOOD, accounting=stated, settings=DP_SETTINGS)
    for name in ("gdpr-art-33-34", "aia-art-73"):
        assert "No success of attacks went beyond a limit" in made[name].reason
    assert "72 hours" in made["gdpr-art-33-34"].note
    assert "96" not in made["gdpr-art-33-34"].note


def test_what_no_attack_went_beyond_is_told_with_the_limits_left_open():
    unsettled = outcome(measurement(0.05, 0.02, 0.1))
    for made, told in (
        (rows(*GOOD), "in this run; that"),
        (rows(unsettled, GOOD[2]), "in this run, but for 1 limit it could"),
    ):
        for name in ("gdpr-art-33-34", "aia-art-73"):
            assert f"No success of attacks went beyond a limit {told}" in made[name].reason


def test_prior_consultation_agrees_with_the_risks():
    """The risk section and page one name it where likelihood and severity are both at least 3."""
    people = results(*BAD).organisation.model_copy(update={"data_category": "special_category"})
    run = mapped(judged(results(*BAD, organisation=people)), ["gdpr"], today=TODAY)
    named = {cell.event for cell in run.risks if "Art. 36" in cell.zone}
    row = next(row for row in run.controls if row.id == "gdpr-art-36")
    assert named
    assert row.status == S.INCONCLUSIVE
    assert all(event in row.reason for event in named)
    calm = mapped(judged(results(*GOOD)), ["gdpr"], today=TODAY)
    assert not [cell for cell in calm.risks if "Art. 36" in cell.zone]
    assert next(row for row in calm.controls if row.id == "gdpr-art-36").status == S.NOT_TESTED


def test_only_labels_beyond_a_limit_still_ask_for_an_assessment():
    limit = Threshold(metric="label_accuracy", limit=0.5, reason="half")
    read = inversion(
        measurement(0.9, 0.8, 0.95, metric="label_accuracy", floor=0.2),
        attack="inversion/labels",
        attack_class="attribute",
    )
    made = rows(inversion(recovered(0.0, 0.0, 0.05)), read, scenarios=(server(limit),))
    for name in ("gdpr-art-33-34", "aia-art-73"):
        assert "This run went beyond a limit: attribute inference." in made[name].reason


def test_ai_act_rows_are_no_duty_before_their_day():
    before = rows(*BAD, names=["eu_ai_act"])
    assert all(row.applies_from for row in before.values())
    for row in before.values():
        if row.applicable_now is False:
            assert row.reason.startswith("Adopted, not yet applicable; applies from 20")
    assert before["aia-art-15-5"].applicable_now is False
    assert before["aia-art-53"].applicable_now is True
    assert before["aia-art-43"].applicable_now is None
    assert "unsettled" in before["aia-art-43"].reason
    assert before["aia-art-49"].applicable_now is None


def test_gdpr_rows_apply_and_guidance_has_no_date():
    made = rows(*GOOD, names=["gdpr"])
    assert made["gdpr-art-32-1-d"].applicable_now is True
    assert made["gdpr-rec-76"].applicable_now is None
    assert made["edpb-gl-02-2026-criteria"].applies_from == ()


def test_law_packs_and_evidence_grow_stale():
    old_law = rows(*GOOD, today=datetime.date(2027, 11, 22))
    assert {row.status for row in old_law.values()} == {S.STALE}
    early = results(*GOOD).run.model_copy(update={"finished": "2025-06-01T00:00:00Z"})
    old_evidence = rows(*GOOD, run=early)
    assert old_evidence["gdpr-art-5-1-f"].status == S.STALE
    assert "1 June 2026" in old_evidence["gdpr-art-5-1-f"].reason
    assert old_evidence["gdpr-art-35-3"].status == S.OUTSIDE_REACH
    assert old_evidence["gdpr-art-36"].status == S.NOT_TESTED


def test_an_unknown_finish_is_said():
    nameless = results(*GOOD).run.model_copy(update={"finished": ""})
    assert "until an unknown date" in rows(*GOOD, run=nameless)["gdpr-art-5-1-f"].reason


@pytest.mark.parametrize("recomputed", [epsilon(), epsilon(15.69, 15.69, 15.70)])
def test_an_epsilon_stated_too_small_flags_the_statement_and_nothing_else(recomputed):
    """Compared with the same run without the statement: only what asks whether declarations are true changes.

    A figure that does not follow from settings may be a slip in either: it shows no unfair processing, so the
    provision is left open, with what to check.
    """
    report = AccountingReport(epsilon=recomputed, caps=caps((0.01, 0.02)), lints_checked=("a",))
    silent = rows(*GOOD, accounting=report, settings=DP_SETTINGS)
    stated = report.model_copy(update={"claimed_epsilon": 0.1})
    made = rows(*GOOD, accounting=stated, settings=DP_SETTINGS)
    assert {name for name in made if made[name].status != silent[name].status} == {"gdpr-art-5-1-a"}
    assert made["gdpr-art-5-1-a"].status == S.INCONCLUSIVE
    assert "does not follow from the declared settings: check it before" in made["gdpr-art-5-1-a"].reason
    assert "The documents state epsilon 0.1" in made["gdpr-art-5-1-a"].reason
    assert made["aia-art-4a"].status == S.NOT_TESTED
    assert "leakage by subgroup" in made["aia-art-4a"].reason
    assert made["sp800-226-epsilon-unit"].status == silent["sp800-226-epsilon-unit"].status


def test_a_stated_epsilon_that_cannot_be_checked_leaves_the_declarations_open():
    report = AccountingReport(epsilon=None, reason="unknown mechanism", claimed_epsilon=3.0, lints_checked=("a",))
    assert rows(*GOOD, accounting=report, settings=DP_SETTINGS)["gdpr-art-5-1-a"].status == S.INCONCLUSIVE


def test_documentation_is_not_judged_by_an_epsilon():
    report = AccountingReport(epsilon=epsilon(), claimed_epsilon=0.1, caps=caps((0.01, 0.02)), lints_checked=("a",))
    row = rows(*GOOD, accounting=report, settings=DP_SETTINGS)["edpb-op-28-2024-par-58"]
    assert row.status == S.OUTSIDE_REACH
    assert "beyond a limit" not in row.reason
    assert "the record of how the run was made" in row.reason


def test_a_security_level_rests_on_no_unknown_likelihood():
    assert rows(*GOOD)["gdpr-art-32-2"].status == S.SUPPORTS
    wide = (*GOOD[:2], inversion(recovered(0.1, 0.0, 0.6)))
    row = rows(*wide)["gdpr-art-32-2"]
    assert row.status == S.INCONCLUSIVE
    assert "for 1 it is not known" in row.reason


def test_a_language_model_is_asked_for_extraction():
    run = results(*GOOD)
    shape = run.target.shape.model_copy(update={"task": Task.LANGUAGE_MODEL})
    made = rows(*GOOD, target=run.target.model_copy(update={"shape": shape}))
    assert made["gdpr-art-5-1-f"].status == S.INCONCLUSIVE
    assert "extraction of training content" in made["gdpr-art-5-1-f"].reason
    assert made["AML.T0057"].status == S.NOT_TESTED


def test_only_the_packs_asked_for_each_once():
    run = mapped(judged(results(*GOOD)), ["gdpr", "iso_42001", "gdpr"], today=TODAY)
    assert [pack["name"] for pack in run.catalogues] == ["gdpr", "iso_42001"]
    assert [pack["as_of"] for pack in run.catalogues] == ["2026-11-20", "2026-11-20"]
    assert len(run.controls) == 48 + 49
    assert mapped(run, [], today=TODAY).controls == ()


def test_an_unknown_pack_is_an_error_the_user_can_mend():
    with pytest.raises(AuditorError, match="hipaa"):
        mapped(results(), ["hipaa"], today=TODAY)


def test_mapping_is_pure_and_can_be_repeated():
    run = judged(results(*GOOD))
    once = mapped(run, ["gdpr"], today=TODAY)
    assert mapped(once, ["gdpr"], today=TODAY) == once
    assert run.controls == ()
    untouched = set(Results.model_fields) - {"controls", "catalogues", "claims"}
    assert all(getattr(run, name) == getattr(once, name) for name in untouched)


@pytest.mark.parametrize("outcomes", [GOOD, BAD, ()])
def test_every_row_has_a_reason_and_claims_nothing(outcomes):
    run = mapped(judged(results(*outcomes)), available_catalogues(), today=TODAY)
    assert all(row.reason.strip() for row in run.controls)
    known = {claim.id for claim in run.claims}
    assert all(set(row.evidence) <= known for row in run.controls)
    said = [row.reason for row in run.controls] + [c.sentence for c in run.claims]
    said += [f.sentence + f.advice for f in run.findings] + [r.reason for r in run.risks]
    assert not [text for text in said if LATIN.search(text)]


def declared(purpose, *outcomes):
    settings = SETTINGS | {"audit": {"name": "ward-risk", "purpose": purpose}}
    run = mapped(judged(results(*outcomes, settings=settings)), ["gdpr"], today=TODAY)
    found = {c.id: c for c in run.claims if c.evidence_kind == "claim_vs_evidence_check"}
    return found, next(row for row in run.controls if row.id == "gdpr-art-5-1-a")


@pytest.mark.parametrize(
    ("purpose", "entry"),
    [
        ("Needed under GDPR 2.0", "gdpr-2-0"),
        ("Updates are auditable within 24 hours", "24h-update-audit"),
        ("Unlearning within 24 h", "24h-unlearning"),
        ("Below the maximum epsilon set by law: the GDPR allows a maximum epsilon of 3", "max-epsilon"),
        ("The AI Act requires membership inference tests", "mia-mandatory"),
        ("Federated learning keeps us outside the GDPR", "fl-exempt"),
        ("AUC of 0.5 proves it", "auc-anonymous"),
        ("The DPIA is repeated every year as required", "dpia-yearly"),
        ("High-risk duties apply since 2 Aug 2026", "high-risk-2026"),
        ("Bias data under Article 10(5)", "art-10-5"),
        ("The FRIA complements the DPIA", "fria-complements"),
        ("ISO 42001 certification means AI Act conformity", "iso-presumption"),
        ("Tool approved by the CNIL", "authority-approved"),
        ("Breaches are reported within 96 hours", "breach-96h"),
    ],
)
def test_each_claim_that_is_not_law_is_found(purpose, entry):
    found, row = declared(purpose)
    claim = found[f"declared:statement:audit.purpose:{entry}"]
    assert claim.supports is False
    assert "Nearest real provision" in claim.sentence
    assert row.status == S.CONTRADICTS


@pytest.mark.parametrize(
    "purpose",
    [
        "Readmission risk, four hospitals, one shared model",
        "Audit under GDPR Art. 35(7)(c), reviewed when the risk changes",
        "Federated learning of readmission risk; GDPR applies",
        "AI Act Art. 15(5) and EDPB Opinion 28/2024 par. 55",
        "Breach notice within 72 hours",
        "Training takes 24 hours",
    ],
)
def test_ordinary_purposes_pass(purpose):
    found, row = declared(purpose)
    assert list(found) == ["declared:statement:none"]
    assert row.status == S.OUTSIDE_REACH


def test_a_promise_of_anonymity_is_held_against_the_findings():
    found, row = declared("The released model is anonymous", *BAD)
    assert found["declared:statement:audit.purpose:strong"].supports is False
    assert row.status == S.CONTRADICTS
    found, row = declared("The released model is anonymous", *GOOD)
    assert found["declared:statement:audit.purpose:strong"].supports is None
    assert row.status == S.INCONCLUSIVE
    assert list(declared("The model is not anonymous", *BAD)[0]) == ["declared:statement:none"]


def test_reasons_of_limits_are_read_too():
    limit = Threshold(metric="recovered_share", limit=0.1, reason="The GDPR allows a maximum epsilon, so here too")
    run = mapped(judged(results(scenarios=(server(limit),))), ["gdpr"], today=TODAY)
    assert any("scenario honest-server, limit on recovered_share" in claim.sentence for claim in run.claims)


def test_nothing_declared_nothing_checked():
    run = mapped(judged(results(settings={})), ["gdpr"], today=TODAY)
    assert not [c for c in run.claims if c.evidence_kind == "claim_vs_evidence_check"]


@pytest.mark.parametrize("outcomes", [GOOD, BAD, ()])
def test_a_verdict_can_be_derived_again_from_the_stored_file(outcomes):
    names = available_catalogues()
    stored = mapped(judged(results(*outcomes)), names, today=TODAY)
    read = Results.from_json(stored.to_json())
    assert read == stored
    assert mapped(judged(read), names, today=TODAY) == stored
    assert mapped(judged(read), names, today=TODAY).sha256 == stored.sha256
