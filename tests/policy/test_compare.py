import datetime

import pytest

from auditor.config.settings import AuditSettings
from auditor.controls.catalogue import vocabulary
from auditor.controls.status import mapped
from auditor.core.findings import ControlStatus
from auditor.core.measurement import OutcomeStatus
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


def test_other_settings_with_the_same_adversaries_are_comparable():
    """The protocol holds what was declared; what two audits must share are attacks, parameters and limits."""
    adversaries = BEFORE.run.protocol_sha256
    facts = {"protocol_sha256": "b" * 64, "adversaries_sha256": adversaries}
    other = BEFORE.model_copy(update={"run": BEFORE.run.model_copy(update=facts)})
    assert compare(BEFORE, other).comparable
    elsewhere = other.model_copy(update={"run": other.run.model_copy(update={"adversaries_sha256": "c" * 64})})
    assert not compare(other, elsewhere).comparable


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


def unfinished_run():
    failed = outcome(attack="membership/rmia", status=OutcomeStatus.FAILED, reasons=("ran out of memory on cpu.",))
    late = outcome(
        attack="membership/label-only",
        status=OutcomeStatus.NOT_RUN,
        reasons=("budget: no time was left of budget.minutes; run again with the same --out to go on",),
    )
    cut = inversion(recovered(0.1, 0.05, 0.2), notes=("The time budget allowed 2 of 8 updates; run again to go on.",))
    never = outcome(attack="inversion/dager", status=OutcomeStatus.NOT_APPLICABLE, reasons=("is for text",))
    made = run(0.2, 0.3, failed, late, cut, never, name="half")
    return made.model_copy(update={"run": made.run.model_copy(update={"complete": False, "command": "auditor run a"})})


def test_an_incomplete_run_is_named_with_what_is_missing():
    found = compare(BEFORE, unfinished_run())
    (reason,) = found.reasons
    assert reason.startswith("run half is incomplete: ")
    assert "membership/rmia for released-model (trained model) failed, because ran out of memory on cpu" in reason
    assert "membership/label-only for released-model (trained model) was not run, because no time was left" in reason
    assert "inversion/gradient-matching for honest-server (trained model) was cut short by the time budget" in reason
    assert "dager" not in reason
    assert found.unfinished == ("half (auditor run a)",)
    assert not compare(BEFORE, BEFORE).unfinished


def test_many_missing_parts_are_counted():
    lost = [outcome(attack=f"membership/a{i}", status=OutcomeStatus.FAILED, reasons=("x",)) for i in range(8)]
    made = run(0.2, 0.3, *lost)
    half = made.model_copy(update={"run": made.run.model_copy(update={"complete": False})})
    (reason,) = compare(BEFORE, half).reasons
    assert reason.endswith("; and 3 more")


def whole(**changes):
    settings = {
        "audit": {"name": "a", "release_context": "internal", "organisation": {"data_category": "ordinary"}},
        "target": {"model": "m.py:build", "modality": "image", "data": {"path": "d.npz"}},
        "federation": {"algorithm": "fedavg", "local": {"learning_rate": 0.1}},
        "privacy": {"mechanism": "none"},
    }
    return AuditSettings.model_validate({**settings, **changes}).model_dump(mode="json")


def without(settings, *path):
    first, *rest = path
    value = {k: v for k, v in settings.items() if k != first}
    return value if not rest else {**settings, first: without(settings[first], *rest)}


def test_a_setting_that_the_tool_added_at_its_default_is_no_change_of_the_user():
    new = whole()
    for old in (without(new, "trainings"), without(new, "federation", "batch_norm"), without(new, "epsilon_audit")):
        for pair in ((old, new), (new, old)):
            found = compare(run(0.2, 0.3, settings=pair[0]), run(0.1, 0.25, settings=pair[1]))
            assert found.settings == ()
            assert "settings of federation" not in found.triggers
            assert any("at its default, it counts as no change" in caution for caution in found.cautions)


def test_an_added_setting_away_from_its_default_is_a_change():
    old, new = without(whole(), "trainings"), whole(trainings=4)
    found = compare(run(0.2, 0.3, settings=old), run(0.2, 0.3, settings=new))
    assert [(c.path, c.before, c.after) for c in found.settings] == [("trainings", None, "4")]


def test_a_block_that_was_empty_and_is_given_is_a_change():
    old = whole()
    new = whole(
        privacy={"mechanism": "none", "override": {"records": 50, "sampling_rate": 0.1, "steps": 3, "reason": "x"}}
    )
    assert old["privacy"]["override"] is None
    found = compare(run(0.2, 0.3, settings=old), run(0.2, 0.3, settings=new))
    assert "privacy.override.records" in {c.path for c in found.settings}
