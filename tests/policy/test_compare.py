import datetime

import pytest

from auditor.controls.catalogue import vocabulary
from auditor.controls.status import mapped
from auditor.core.findings import ControlStatus
from auditor.core.privacy import AccountingReport
from auditor.policy.compare import Direction, compare
from auditor.policy.judge import judged
from auditor.policy.re_audit import comparison_claims
from tests.results_builder import DP_SETTINGS, epsilon, inversion, measurement, outcome, recovered, results

KEY = "released-model:membership/lira@trained:tpr_at_fpr[fpr=0.01]"


def run(low, high, *more, name="run", **other):
    made = results(outcome(measurement((low + high) / 2, low, high)), *more, **other)
    return judged(made.model_copy(update={"run": made.run.model_copy(update={"id": name})}))


BEFORE = run(0.2, 0.3, name="before")


def change(after, before=BEFORE):
    return {change.id: change for change in compare(before, after).findings}[KEY]


@pytest.mark.parametrize(
    ("low", "high", "direction"),
    [(0.01, 0.1, "lower"), (0.4, 0.5, "higher"), (0.1, 0.2, "unclear"), (0.3, 0.4, "unclear"), (0.2, 0.3, "unclear")],
)
def test_figures_move_by_whole_intervals(low, high, direction):
    assert change(run(low, high)).direction == direction


def test_the_sentence_names_both_intervals():
    assert change(run(0.01, 0.1)).sentence == "The figure is clearly lower (from 20 % – 30 % to 1 % – 10 %)."


def test_statuses_of_both_runs():
    moved = change(run(0.01, 0.04))
    assert (moved.before, moved.after) == ("exceeds", "within")


def test_what_is_new_and_what_is_gone():
    more = run(0.2, 0.3, inversion(recovered(0.5, 0.4, 0.6)))
    share = "honest-server:inversion/gradient-matching@trained:recovered_share"
    assert {c.id: c.direction for c in compare(BEFORE, more).findings}[share] == Direction.NEW
    assert {c.id: c.direction for c in compare(more, BEFORE).findings}[share] == Direction.GONE


def test_another_protocol_is_not_comparable():
    other = BEFORE.model_copy(update={"run": BEFORE.run.model_copy(update={"protocol_sha256": "b" * 64})})
    found = compare(BEFORE, other)
    assert not found.comparable
    assert "another protocol" in found.reasons[0]
    assert {c.direction for c in found.findings} == {Direction.INCOMPARABLE}
    claims = {claim.evidence_kind: claim for claim in comparison_claims(found)}
    assert claims["audit_diff"].supports is None
    assert "mitigation_delta" not in claims


@pytest.mark.parametrize(("field", "value"), [("complete", False), ("protocol_sha256", "")])
def test_runs_that_cannot_be_compared(field, value):
    other = BEFORE.model_copy(update={"run": BEFORE.run.model_copy(update={field: value})})
    assert not compare(BEFORE, other).comparable


def test_changed_settings_are_named_with_both_values():
    found = compare(BEFORE, run(0.01, 0.1, settings=DP_SETTINGS))
    paths = {c.path: (c.before, c.after) for c in found.settings}
    assert paths == {"privacy.mechanism": ("none", "dp_sgd"), "privacy.noise_multiplier": (None, "0.8")}
    assert found.triggers == ("settings of privacy",)


def test_a_measured_measure_is_evidence():
    claims = {c.evidence_kind: c for c in comparison_claims(compare(BEFORE, run(0.01, 0.1, settings=DP_SETTINGS)))}
    assert claims["mitigation_delta"].supports is True
    assert "privacy.noise_multiplier (not set to 0.8)" in claims["mitigation_delta"].sentence
    assert "1 figure clearly lower, 0 clearly higher" in claims["mitigation_delta"].sentence
    assert claims.keys() <= vocabulary().keys()
    unclear = {c.evidence_kind: c for c in comparison_claims(compare(BEFORE, run(0.2, 0.3, settings=DP_SETTINGS)))}
    assert unclear["mitigation_delta"].supports is None


def test_a_measure_is_not_credited_where_the_data_changed_too():
    after = run(0.01, 0.1, settings=DP_SETTINGS)
    (split,) = after.target.splits
    target = after.target.model_copy(update={"splits": (split.model_copy(update={"sha256": "c" * 64}),)})
    found = compare(BEFORE, after.model_copy(update={"target": target}))
    assert "the data" in found.triggers
    assert any("sample data differ" in caution for caution in found.cautions)
    assert not [c for c in comparison_claims(found) if c.evidence_kind == "mitigation_delta"]


def test_triggers():
    target = BEFORE.target.model_copy(update={"model_sha256": "d" * 64, "weights_sha256": "e" * 64})
    other = BEFORE.model_copy(
        update={
            "target": target,
            "run": BEFORE.run.model_copy(update={"tool_version": "0.2.0"}),
            "organisation": BEFORE.organisation.model_copy(update={"release_context": "public"}),
            "catalogues": ({"name": "gdpr", "as_of": "2027-01-01"},),
            "outcomes": (),
        }
    )
    assert compare(BEFORE, other).triggers == (
        "the model's code",
        "the weights",
        "the release context",
        "the attacks",
        "the tool",
        "the law packs",
    )


def test_a_repetition_says_so():
    found = compare(BEFORE, BEFORE)
    assert found.triggers == ()
    assert any("repetition" in caution for caution in found.cautions)
    (diff, log) = comparison_claims(found)
    assert "0 figures clearly lower, 0 clearly higher" in diff.sentence
    assert log.sentence.endswith("nothing.")


def test_epsilon():
    private = run(0.2, 0.3, accounting=AccountingReport(epsilon=epsilon()))
    assert compare(BEFORE, private).epsilon == "Epsilon was infinite and is 0.51."
    assert compare(private, private).epsilon == "Epsilon is still 0.51."
    gone = run(0.2, 0.3, accounting=AccountingReport(epsilon=None, reason="x"))
    assert compare(private, gone).epsilon == "Epsilon was 0.51 and is not computed."


def test_a_comparison_answers_what_one_run_cannot():
    after = run(0.01, 0.1, settings=DP_SETTINGS)
    with_diff = after.model_copy(update={"claims": (*after.claims, *comparison_claims(compare(BEFORE, after)))})
    today = datetime.date(2026, 11, 20)
    alone = {row.id: row.status for row in mapped(after, ["gdpr"], today=today).controls}
    both = {row.id: row.status for row in mapped(with_diff, ["gdpr"], today=today).controls}
    assert alone["gdpr-rec-78"] == ControlStatus.NOT_TESTED
    assert both["gdpr-rec-78"] == ControlStatus.SUPPORTS
    assert alone["gdpr-art-35-11"] == ControlStatus.NOT_TESTED
    assert both["gdpr-art-35-11"] == ControlStatus.INCONCLUSIVE
