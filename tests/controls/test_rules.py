import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.controls.catalogue import Entry
from auditor.controls.evidence import by_kind
from auditor.controls.rules import Case, decide
from auditor.core.findings import Claim, ClaimKind, ControlStatus

S = ControlStatus


def entry(asks="achieve", kinds=("mia_tpr_at_fpr",), requires=None, only_where=None):
    return Entry(
        id="x",
        title="X",
        kind="binding",
        asks=asks,
        paraphrase="Do it.",
        evidence_kinds=kinds,
        requires=requires,
        only_where=only_where,
        outside_reach=("people",),
        source_ref="Art. 1",
        source_basis="memory",
        as_of="2026-11-20",
    )


def claim(kind, supports, name=None):
    return Claim(
        id=name or f"claim:{kind}",
        kind=ClaimKind.MEASUREMENT,
        sentence=f"About {kind}.",
        evidence_kind=kind,
        supports=supports,
    )


CLEAN = tuple(claim("negative_controls", True, f"measured:controls:{c}") for c in ("membership", "reconstruction"))
DIRTY = (claim("negative_controls", False, "measured:controls:membership"),)


def verdict(*claims, dropped=(), category="ordinary", high=(), **fields):
    return decide(Case(entry(**fields), by_kind(claims), frozenset(dropped), "20 November 2027", category, high))


def test_supports_always_says_for_what():
    found = verdict(claim("mia_tpr_at_fpr", True), *CLEAN)
    assert found.status == S.SUPPORTS
    assert found.reason.startswith("Supports, for the attacks run, on this sample, until 20 November 2027.")
    assert "membership inference" in found.reason
    assert found.evidence == ("claim:mia_tpr_at_fpr",)


def test_contradicts_with_what_was_found():
    found = verdict(claim("mia_tpr_at_fpr", False), *CLEAN)
    assert (found.status, found.reason) == (S.CONTRADICTS, "About mia_tpr_at_fpr.")


def test_an_open_answer_is_inconclusive():
    assert verdict(claim("mia_tpr_at_fpr", None), *CLEAN).status == S.INCONCLUSIVE


def test_without_a_clean_negative_control_nothing_supports():
    assert verdict(claim("mia_tpr_at_fpr", True)).status == S.INCONCLUSIVE
    dirty = verdict(claim("mia_tpr_at_fpr", True), *DIRTY)
    assert dirty.status == S.INCONCLUSIVE
    assert "was not clean" in dirty.reason


def test_the_control_must_be_of_the_same_kind_of_attack():
    kinds = ("gia_reconstruction_match",)
    assert verdict(claim("gia_reconstruction_match", True), CLEAN[0], kinds=kinds).status == S.INCONCLUSIVE
    assert verdict(claim("gia_reconstruction_match", True), CLEAN[1], kinds=kinds).status == S.SUPPORTS


def test_one_contradiction_outweighs_any_support():
    kinds = ("mia_tpr_at_fpr", "gia_reconstruction_match")
    claims = (claim("mia_tpr_at_fpr", True), claim("gia_reconstruction_match", False))
    assert verdict(*claims, *CLEAN, kinds=kinds).status == S.CONTRADICTS


def test_a_missing_requirement_is_named():
    kinds = ("mia_tpr_at_fpr", "mitigation_delta")
    found = verdict(claim("mia_tpr_at_fpr", True), *CLEAN, kinds=kinds)
    assert found.status == S.INCONCLUSIVE
    assert "Not done: a re-run with a measure switched on." in found.reason
    enough = verdict(claim("mia_tpr_at_fpr", True), *CLEAN, kinds=kinds, requires=("mia_tpr_at_fpr",))
    assert enough.status == S.SUPPORTS


def test_further_evidence_can_still_contradict():
    kinds = ("mia_tpr_at_fpr", "extraction_rate")
    claims = (claim("mia_tpr_at_fpr", True), claim("extraction_rate", False))
    assert verdict(*claims, *CLEAN, kinds=kinds, requires=("mia_tpr_at_fpr",)).status == S.CONTRADICTS


def test_what_cannot_apply_is_not_asked_for():
    kinds = ("mia_tpr_at_fpr", "extraction_rate")
    found = verdict(claim("mia_tpr_at_fpr", True), *CLEAN, kinds=kinds, dropped=("extraction_rate",))
    assert found.status == S.SUPPORTS
    gone = verdict(kinds=("extraction_rate",), dropped=("extraction_rate",))
    assert gone.status == S.NOT_TESTED
    assert "Does not apply" in gone.reason


def test_nothing_at_all_is_not_tested():
    assert verdict().status == S.NOT_TESTED
    assert verdict(*CLEAN).status == S.NOT_TESTED


@pytest.mark.parametrize("asks", ["achieve", "assess"])
def test_records_alone_test_nothing(asks):
    kinds = ("data_fingerprint", "subgroup_leakage")
    found = verdict(claim("data_fingerprint", True), asks=asks, kinds=kinds)
    assert found.status == S.NOT_TESTED
    assert "leakage by subgroup" in found.reason


def test_a_record_with_a_gap_is_inconclusive():
    kinds = ("run_provenance", "audit_diff")
    assert verdict(claim("run_provenance", True), asks="record", kinds=kinds).status == S.INCONCLUSIVE
    assert verdict(claim("run_provenance", True), asks="record", kinds=kinds[:1]).status == S.OUTSIDE_REACH


def test_no_evidence_kind_is_outside_reach():
    found = verdict(kinds=())
    assert found.status == S.OUTSIDE_REACH
    assert "people" in found.reason


@pytest.mark.parametrize("supports", [True, False])
def test_having_assessed_supports_whatever_came_out(supports):
    found = verdict(claim("mia_tpr_at_fpr", supports), *CLEAN, asks="assess")
    assert found.status == S.SUPPORTS
    assert ("lies beyond a limit: membership inference" in found.reason) is (supports is False)


def test_an_assessment_left_open_is_inconclusive():
    assert verdict(claim("mia_tpr_at_fpr", None), *CLEAN, asks="assess").status == S.INCONCLUSIVE
    assert verdict(claim("mia_tpr_at_fpr", True), asks="assess").status == S.INCONCLUSIVE


@pytest.mark.parametrize("supports", [True, False, None])
def test_triage_is_never_settled_by_a_simulation(supports):
    one = claim("gia_reconstruction_match", supports)
    found = verdict(one, asks="triage", kinds=("gia_reconstruction_match",))
    assert found.status == S.INCONCLUSIVE
    assert found.reason.startswith("What an audit finds is not an incident by itself.")
    assert ("calls for an assessment" in found.reason) is (supports is False)
    assert "This run went beyond a limit: reconstruction from updates." in found.reason or supports is not False


@pytest.mark.parametrize("told", [True, None])
def test_any_attack_beyond_a_limit_is_a_matter_for_people(told):
    """Also one that has nothing to do with the kinds which the provision names, and where those were not tested."""
    kinds = ("extraction_rate", "finding_timestamp")
    others = (claim("mia_tpr_at_fpr", False), claim("finding_timestamp", told))
    found = verdict(*others, asks="triage", kinds=kinds)
    assert found.status == S.INCONCLUSIVE
    assert "This run went beyond a limit: membership inference." in found.reason
    assert "claim:mia_tpr_at_fpr" in found.evidence
    assert verdict(claim("mia_tpr_at_fpr", False), asks="triage", kinds=kinds).status == S.INCONCLUSIVE
    assert verdict(claim("finding_timestamp", told), asks="triage", kinds=kinds).status == S.NOT_TESTED


@pytest.mark.parametrize("kind", ["claim_vs_evidence_check", "dp_config_consistency", "dp_epsilon_recomputed"])
def test_a_misstated_mechanism_is_no_breach(kind):
    """GDPR Art. 4(12): a breach of security of personal data, not a figure in a document."""
    found = verdict(claim(kind, False), claim("finding_timestamp", True), asks="triage", kinds=("finding_timestamp",))
    assert found.status == S.INCONCLUSIVE
    assert "calls for an assessment" not in found.reason
    assert "claim:" + kind not in found.evidence


@pytest.mark.parametrize("kind", ["run_provenance", "risk_input_summary", "claim_vs_evidence_check"])
@pytest.mark.parametrize("asks", ["achieve", "assess", "record", "conduct"])
def test_records_and_words_alone_support_no_duty_of_people(kind, asks):
    found = verdict(claim(kind, True), asks=asks, kinds=(kind,))
    assert found.status == S.OUTSIDE_REACH
    assert found.reason.startswith("For people to show; material for it from this run: ")
    assert found.evidence == (f"claim:{kind}",)


def test_what_people_do_is_never_contradicted_by_an_attack():
    kinds = ("attacker_profile_server_result",)
    beyond = verdict(claim(kinds[0], False), asks="conduct", kinds=kinds)
    assert beyond.status == S.INCONCLUSIVE
    assert "For people to weigh" in beyond.reason
    assert verdict(claim(kinds[0], True), asks="conduct", kinds=kinds).status == S.OUTSIDE_REACH
    assert verdict(asks="conduct", kinds=kinds).status == S.NOT_TESTED


def test_what_nobody_declared_is_not_held_against_them():
    beyond = claim("mia_tpr_at_fpr", False)
    special = verdict(beyond, only_where="special-category", category="ordinary")
    assert special.status == S.NOT_TESTED
    assert "Applies only where data of a special category are processed; declared here: ordinary." in special.reason
    assert special.evidence == ()
    declared = verdict(beyond, only_where="special-category", category="special_category")
    assert declared.status == S.CONTRADICTS
    large = verdict(beyond, only_where="general-purpose", category="special_category")
    assert large.status == S.OUTSIDE_REACH
    assert "Applies only to providers of general-purpose AI models" in large.reason


def test_a_high_risk_asks_about_consultation():
    kinds = ("residual_likelihood_after_mitigation",)
    asked = verdict(asks="consult", kinds=kinds, high=("Somebody learns it",))
    assert asked.status == S.INCONCLUSIVE
    assert "Somebody learns it" in asked.reason
    assert "remains after measures" in asked.reason
    assert verdict(asks="consult", kinds=kinds).status == S.NOT_TESTED


def test_no_exceeded_limit_is_never_called_nothing():
    kinds = ("gia_reconstruction_match",)
    reason = verdict(claim(kinds[0], True), asks="triage", kinds=kinds).reason
    assert "does not show that nothing happened" in reason
    assert "closer look" not in reason


def test_what_is_left_open_says_why_where_no_attack_does():
    found = verdict(claim("likelihood_proposal", None), asks="assess", kinds=("likelihood_proposal",))
    assert found.status == S.INCONCLUSIVE
    assert found.reason == "Left open: the proposed likelihood. About likelihood_proposal."


def test_what_people_declare_is_not_evidence():
    kinds = ("cohort_membership_sensitivity_flag",)
    assert verdict(claim(kinds[0], None), kinds=kinds).status == S.HUMAN_DECLARED
    waiting = verdict(kinds=("human_signoff",))
    assert waiting.status == S.NOT_TESTED
    assert "Waits for a person" in waiting.reason


def test_a_signature_is_never_required_of_the_tool():
    kinds = ("dp_config_consistency", "human_signoff")
    assert verdict(claim("dp_config_consistency", True), kinds=kinds).status == S.SUPPORTS


ANSWERS = st.one_of(st.none(), st.booleans())
KINDS = ("mia_tpr_at_fpr", "gia_reconstruction_match", "dp_config_consistency", "run_provenance", "audit_diff")


@given(st.dictionaries(st.sampled_from(KINDS), ANSWERS), st.sampled_from(["achieve", "assess", "record", "triage"]))
def test_support_needs_everything_required_and_no_contradiction(given_answers, asks):
    claims = [claim(kind, answer) for kind, answer in given_answers.items()]
    found = verdict(*claims, *CLEAN, asks=asks, kinds=KINDS)
    if found.status == S.SUPPORTS:
        assert set(given_answers) == set(KINDS)
        assert asks != "triage"
        assert asks != "achieve" or all(given_answers.values())
    if found.status == S.CONTRADICTS:
        assert asks == "achieve"
        assert False in given_answers.values()


@given(st.dictionaries(st.sampled_from(KINDS), ANSWERS), st.sampled_from(KINDS))
def test_one_more_contradiction_never_turns_into_support(given_answers, kind):
    worse = given_answers | {kind: False}
    assert verdict(*(claim(k, a) for k, a in worse.items()), *CLEAN, kinds=KINDS).status != S.SUPPORTS
