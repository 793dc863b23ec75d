import pytest

from auditor.core.findings import FindingStatus, Threshold
from auditor.core.measurement import OutcomeStatus
from auditor.core.shape import ModelState
from auditor.policy.judge import judged
from auditor.policy.statements import one_update
from tests.results_builder import NO_PRIVACY, inversion, measurement, outcome, recovered, released, results, server


def findings(*outcomes, **other):
    return {f.id: f for f in judged(results(*outcomes, **other)).findings}


KEY = "released-model:membership/lira@trained:tpr_at_fpr[fpr=0.01]"


def test_the_sentence_holds_figure_interval_limit_and_reason():
    found = findings(outcome(measurement(0.123, 0.101, 0.16)))[KEY]
    assert found.status == FindingStatus.EXCEEDS
    assert "12.3 % (95 % interval 10.1 % to 16 %)" in found.sentence
    assert "1 in 100 of the other records" in found.sentence
    assert "above the limit of 5 %" in found.sentence
    assert (found.value, found.low, found.high, found.limit) == (0.123, 0.101, 0.16, 0.05)


def test_advice_names_the_setting_its_value_and_its_place():
    found = findings(outcome(measurement(0.123, 0.101, 0.16)))[KEY]
    assert "federation.rounds (now 20, audit.yaml:20:3)" in found.advice
    assert "not measured" in found.advice


def test_within_needs_no_advice():
    assert findings(outcome(measurement(0.02, 0.01, 0.03)))[KEY].advice == ""


def test_a_figure_just_above_the_limit_does_not_read_as_the_limit():
    text = findings(outcome(measurement(0.0504, 0.05001, 0.0507)))[KEY].sentence
    assert "5.04 % (95 % interval 5.001 % to 5.1 %)" in text


def test_a_refused_measurement_says_how_many_more_are_needed():
    refused = measurement(None, None, None, refused="a claim at 1 in 100 needs 1,000 non-members; 300 more are needed")
    found = findings(outcome(refused))[KEY]
    assert found.status == FindingStatus.INCONCLUSIVE
    assert "300 more are needed" in found.sentence
    assert "target.data.nonmembers" in found.advice
    assert found.value is None


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (OutcomeStatus.NOT_APPLICABLE, FindingStatus.NOT_APPLICABLE),
        (OutcomeStatus.FAILED, FindingStatus.FAILED),
        (OutcomeStatus.NOT_RUN, FindingStatus.NOT_RUN),
        ("unheard-of", FindingStatus.FAILED),
    ],
)
def test_an_end_without_figures_is_carried_over_with_its_reason(end, status):
    found = findings(outcome(status=end, reasons=("needs labels.", "is for images")))
    one = found[f"released-model:membership/lira@trained:{status.value}"]
    assert one.status == status
    assert "needs labels; it is for images" in one.sentence


def test_no_reason_is_said_so():
    found = findings(outcome(status=OutcomeStatus.FAILED))
    assert any("no reason was recorded" in f.sentence for f in found.values())


def test_a_scenario_without_limits_is_inconclusive_and_says_so():
    silent = released().model_copy(update={"thresholds": ()})
    found = findings(outcome(measurement(0.5, 0.4, 0.6)), scenarios=(silent,))[KEY]
    assert found.status == FindingStatus.INCONCLUSIVE
    assert found.limit is None
    assert "no limit was fixed" in found.sentence.lower()


def test_an_unknown_scenario_has_no_limits():
    found = findings(outcome(measurement(0.5, 0.4, 0.6)), scenarios=())
    assert found[KEY].status == FindingStatus.INCONCLUSIVE


def test_an_attack_without_figures_is_inconclusive():
    found = findings(outcome())
    assert found["released-model:membership/lira@trained:no_figure"].status == FindingStatus.INCONCLUSIVE


def test_a_point_that_was_not_measured_is_inconclusive():
    limits = (Threshold(metric="tpr_at_fpr[fpr=1e-4]", limit=5e-4, reason="five times chance"),)
    found = findings(outcome(measurement()), scenarios=(released(*limits),))
    assert found["released-model:membership/lira@trained:tpr_at_fpr[fpr=1e-4]"].status == FindingStatus.INCONCLUSIVE


def test_every_limit_is_answered_even_where_no_attack_speaks_to_it():
    found = findings(outcome(measurement()))
    assert found["honest-server:limit:recovered_share"].status == FindingStatus.NOT_RUN
    assert not any(key.startswith("released-model:limit") for key in found)


def test_every_outcome_yields_a_finding():
    ends = [s for name, s in vars(OutcomeStatus).items() if name.isupper()]
    assert len(ends) == 4
    planned = [
        outcome(*([measurement()] if end == "measured" else []), status=end, attack=f"a/{i}", state=state)
        for i, end in enumerate(ends)
        for state in (None, *ModelState)
    ]
    made = judged(results(*planned)).findings
    assert {o.key for o in planned} <= {f.outcome for f in made}
    assert len({f.id for f in made}) == len(made), "ids are unique"


def test_a_clean_negative_control_judges_nothing_and_a_dirty_one_is_a_failed_test():
    limit = "released-model:membership/lira@initial:control:tpr_at_fpr[fpr=0.01]"
    clean = findings(outcome(measurement(0.01, 0.005, 0.02), state=ModelState.INITIAL))[limit]
    assert clean.status == FindingStatus.NOT_APPLICABLE
    dirty = findings(outcome(measurement(0.2, 0.15, 0.25), state=ModelState.INITIAL))[limit]
    assert dirty.status == FindingStatus.FAILED
    assert "target.data" in dirty.advice


def test_reconstruction_says_what_chance_gives():
    found = findings(inversion(recovered(0.4, 0.3, 0.5, n_of="records in 8 updates")))
    text = found["honest-server:inversion/gradient-matching@trained:recovered_share"].sentence
    assert "without the attack the figure is 1 % (decoys)" in text
    assert "64 records in 8 updates" in text


def test_nothing_planned_leaves_limits_unanswered_and_accounting_stated():
    made = judged(results(accounting=NO_PRIVACY, scenarios=(released(), server())))
    assert [f.status for f in made.findings] == [
        FindingStatus.NOT_RUN,
        FindingStatus.NOT_RUN,
        FindingStatus.NOT_APPLICABLE,
    ]
    assert made.risks == ()


def control(share, low, high, **other):
    fields = {"scenario": "single-record", "control": "positive"} | other
    return inversion(recovered(share, low, high), **fields)


SHARE = "honest-server:inversion/gradient-matching@trained:recovered_share"


def test_a_positive_control_says_whether_the_attack_works_at_all():
    works = findings(control(1.0, 0.63, 1.0))[
        "single-record:inversion/gradient-matching@trained:control:recovered_share"
    ]
    assert works.status == FindingStatus.NOT_APPLICABLE
    assert "Positive control: the attack works" in works.sentence
    broken = findings(control(0.0, 0.0, 0.37))[
        "single-record:inversion/gradient-matching@trained:control:recovered_share"
    ]
    assert broken.status == FindingStatus.FAILED
    assert "parameters" in broken.advice


def test_a_low_figure_of_an_attack_that_does_not_work_shows_nothing():
    low = inversion(recovered(0.0, 0.0, 0.05))
    assert findings(low, control(1.0, 0.63, 1.0))[SHARE].status == FindingStatus.WITHIN
    doubted = findings(low, control(0.0, 0.0, 0.37))[SHARE]
    assert doubted.status == FindingStatus.INCONCLUSIVE
    assert "even where everything is laid open" in doubted.sentence
    high = inversion(recovered(0.5, 0.4, 0.6))
    assert findings(high, control(0.0, 0.0, 0.37))[SHARE].status == FindingStatus.EXCEEDS


def test_one_model_state_is_enough_to_show_that_the_attack_works():
    low = inversion(recovered(0.0, 0.0, 0.05))
    fresh = control(1.0, 0.63, 1.0, state=ModelState.INITIAL)
    assert findings(low, control(0.0, 0.0, 0.37), fresh)[SHARE].status == FindingStatus.WITHIN


def test_a_control_that_gave_no_figure_takes_nothing_away():
    low = inversion(recovered(0.0, 0.0, 0.05))
    failed = control(0, 0, 0, status=OutcomeStatus.FAILED)
    assert findings(low, failed)[SHARE].status == FindingStatus.WITHIN


def test_limits_of_a_control_are_not_asked_for():
    extra = server(name="single-record", control=True)
    found = findings(inversion(recovered(0.0, 0.0, 0.05)), scenarios=(released(), server(), extra))
    assert not any(key.startswith("single-record") for key in found)


def test_an_experimental_attack_counts_only_where_it_finds_something():
    low = findings(inversion(recovered(0.0, 0.0, 0.05), experimental=True))[SHARE]
    assert low.status == FindingStatus.NOT_APPLICABLE
    assert "experimental" in low.sentence
    unsure = findings(inversion(recovered(0.1, 0.0, 0.6), experimental=True))[SHARE]
    assert unsure.status == FindingStatus.NOT_APPLICABLE
    assert findings(inversion(recovered(0.5, 0.4, 0.6), experimental=True))[SHARE].status == FindingStatus.EXCEEDS


def test_an_attack_cut_short_cannot_be_within():
    found = findings(inversion(recovered(0.0, 0.0, 0.05), cut_short=True))[SHARE]
    assert found.status == FindingStatus.INCONCLUSIVE
    assert "budget.minutes (now 30.0)" in found.advice
    assert findings(inversion(recovered(0.5, 0.4, 0.6), cut_short=True))[SHARE].status == FindingStatus.EXCEEDS


def test_a_membership_floor_above_chance_is_said():
    blind = measurement(0.123, 0.101, 0.16, floor=0.04, floor_is="telling the samples apart without the model")
    assert "without the attack the figure is 4 % (telling" in findings(outcome(blind))[KEY].sentence
    assert "without the attack" not in findings(outcome(measurement(0.123, 0.101, 0.16, floor=0.01)))[KEY].sentence


def test_a_refused_rate_is_joined_by_what_the_sample_allows():
    refused = measurement(None, None, None, refused="300 more non-members are needed")
    coarse = measurement(0.3, 0.25, 0.35, at={"fpr": 0.1})
    text = findings(outcome(coarse, refused))[KEY].sentence
    assert "What this sample allows: the attack recognises 30 %" in text
    assert "1 in 10 of the other records" in text


def test_what_the_sample_allows_is_not_repeated_where_it_has_a_limit_of_its_own():
    refused = measurement(None, None, None, refused="300 more non-members are needed")
    coarse = measurement(0.3, 0.25, 0.35, at={"fpr": 0.1})
    limits = [Threshold(metric=f"tpr_at_fpr[fpr={fpr}]", limit=0.2, reason="x") for fpr in (0.01, 0.1)]
    text = findings(outcome(coarse, refused), scenarios=(released(*limits),))[KEY].sentence
    assert "What this sample allows" not in text


@pytest.mark.parametrize(
    ("value", "more"),
    [
        (0.04, "This sample cannot tell: about 4,000 members would"),
        (0.02, "About 50 % more"),
        (0.022, "About 90 % more"),
    ],
)
def test_how_many_more_would_settle_it(value, more):
    high = {0.04: 0.06, 0.02: 0.0567, 0.022: 0.0605}[value]
    assert more in findings(outcome(measurement(value, 0.01, high)))[KEY].advice


def test_where_a_guess_reaches_the_limit_the_advice_says_so():
    labels = measurement(0.9, 0.88, 0.92, metric="label_accuracy", floor=0.95, floor_is="most common label")
    limits = (Threshold(metric="label_accuracy", limit=0.5, reason="half"),)
    run = {"scenarios": (server(*limits),)}
    found = findings(inversion(labels), **run)["honest-server:inversion/gradient-matching@trained:label_accuracy"]
    assert found.status == FindingStatus.INCONCLUSIVE
    assert "already reaches 95 %" in found.advice
    assert "set a limit" not in found.advice


@pytest.mark.parametrize(
    ("low", "high", "floor", "limit", "status"),
    [
        (0.95, 0.99, 0.95, 0.975, FindingStatus.INCONCLUSIVE),
        (0.951, 0.96, 0.95, 0.975, FindingStatus.WITHIN),
        (0.99, 1.0, 0.75, 0.875, FindingStatus.EXCEEDS),
        (0.4, 0.45, 0.1, 0.55, FindingStatus.WITHIN),
    ],
)
def test_a_limit_beyond_the_guess_counts_from_the_guess(low, high, floor, limit, status):
    labels = measurement((low + high) / 2, low, high, metric="label_accuracy", floor=floor, floor_is="a guess")
    limits = (Threshold(metric="label_accuracy", limit=0.5, reason="half", beyond_guess=True),)
    run = {"scenarios": (server(*limits),)}
    found = findings(inversion(labels), **run)["honest-server:inversion/gradient-matching@trained:label_accuracy"]
    assert found.limit == pytest.approx(limit)
    assert found.status == status


def test_many_comparisons_are_a_limit_of_the_run():
    one = judged(results(outcome(measurement())))
    assert one.limits == ()
    two = judged(results(outcome(measurement()), outcome(measurement(), attack="membership/rmia")))
    assert len(two.limits) == 1
    assert two.limits[0].startswith("2 figures were compared")
    assert judged(two).limits == two.limits


def test_a_control_beside_its_test_stays_apart():
    test, beside = outcome(measurement(0.02, 0.01, 0.03)), outcome(measurement(0.2, 0.15, 0.25), control="negative")
    run = judged(results(test, beside))
    assert len({f.id for f in run.findings}) == len(run.findings)
    claim = next(c for c in run.claims if c.id == "measured:membership")
    assert claim.supports is None, "the control was not clean"
    assert claim.evidence == (KEY,)


def test_one_update_stands_for_no_other():
    alone = measurement(0.9, 0.8, 0.95, metric="label_accuracy", floor=0.2, n_of="records in 1 updates")
    assert "says nothing about other updates" in one_update(alone)
    assert one_update(alone.model_copy(update={"n_of": "records in 8 updates"})) == ""


def test_a_figure_without_a_limit_is_advised_in_words():
    read = measurement(0.6, 0.4, 0.8, metric="property_closer", at={})
    found = findings(outcome(read, attack="inference/property", attack_class="property"), scenarios=(released(),))
    (advice,) = {f.advice for f in found.values() if f.metric == "property_closer"}
    assert "a limit on the share of updates from which the attack reads a property" in advice
    assert "property_closer" not in advice


def test_thousands_are_written_in_one_way():
    several = measurement(0.06, 0.03, 0.09, n=2500)
    settings = {"target": {"data": {"members": {"count": 1500}, "nonmembers": {"count": 12000}}}}
    found = findings(outcome(several), settings=settings)[KEY]
    assert "members (now count: 1,500)" in found.advice
    assert "nonmembers (now count: 12,000)" in found.advice
    assert "2,500" in found.sentence
