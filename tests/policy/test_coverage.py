from auditor.core.measurement import OutcomeStatus
from auditor.core.shape import ModelState, Task
from auditor.policy.coverage import CLASSES, coverage
from tests.results_builder import inversion, measurement, outcome, recovered, results


def rows(*outcomes, **other):
    return {row.id: row for row in coverage(results(*outcomes, **other))}


def test_the_table_is_always_whole():
    assert [row.id for row in coverage(results())] == [row.id for row in CLASSES]
    assert len(CLASSES) == 6, "five classes of par. 55, the first in two rows"
    assert all(row.reason for row in coverage(results()))


def test_states():
    made = rows(
        outcome(measurement()),
        outcome(status=OutcomeStatus.FAILED, attack="membership/rmia", reasons=("out of memory.",)),
        inversion(status=OutcomeStatus.NOT_APPLICABLE, reasons=("needs images",)),
    )
    assert made["i-membership"].status == "run"
    assert made["i-membership"].attacks == ("membership/lira",)
    assert "membership/rmia (released-model) failed: out of memory" in made["i-membership"].reason
    assert (made["v"].status, made["v"].attacks) == ("not_applicable", ())
    assert "needs images" in made["v"].reason
    assert made["i-attribute"].status == made["ii"].status == made["iv"].status == "not_run"


def test_membership_says_nothing_about_attributes():
    made = rows(outcome(measurement()))
    assert made["i-attribute"].status == "not_run"


def test_labels_alone_are_a_narrow_test_of_attributes():
    labels = inversion(
        measurement(0.9, 0.8, 0.95, metric="label_accuracy"), attack="inversion/labels", attack_class="attribute"
    )
    assert "only the label" in rows(labels)["i-attribute"].reason
    assert rows(labels)["i-attribute"].status == "partial"


def test_whose_record_it_is_alone_is_no_full_test_of_attributes():
    source = outcome(measurement(metric="answer_accuracy"), attack="inference/source", attack_class="attribute")
    row = rows(source)["i-attribute"]
    assert (row.status, row.attacks) == ("partial", ("inference/source",))
    assert "only the client that a record comes from was inferred" in row.reason
    hidden = outcome(measurement(metric="answer_accuracy"), attack="inference/attribute", attack_class="attribute")
    assert rows(source, hidden)["i-attribute"].status == "run"


def test_only_failures_are_not_run():
    made = rows(inversion(status=OutcomeStatus.FAILED, reasons=("NaN",)), inversion(status=OutcomeStatus.NOT_RUN))
    assert made["v"].status == "not_run"
    assert "no reason was recorded" in made["v"].reason


def test_a_negative_control_is_no_test():
    assert rows(outcome(measurement(), state=ModelState.INITIAL))["i-membership"].status == "not_run"


def test_regurgitation_applies_to_language_models_alone():
    assert rows()["iii"].status == "not_applicable"
    run = results()
    shape = run.target.shape.model_copy(update={"task": Task.LANGUAGE_MODEL})
    text = run.model_copy(update={"target": run.target.model_copy(update={"shape": shape})})
    assert {row.id: row.status for row in coverage(text)}["iii"] == "not_run"


def test_measured_for_every_scenario():
    made = rows(inversion(recovered(0, 0, 0.05)), inversion(recovered(0, 0, 0.05), scenario="sums"))
    assert made["v"].reason == "measured for honest-server and sums"
