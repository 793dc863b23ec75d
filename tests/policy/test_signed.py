import datetime

import pytest
import yaml

from auditor.core.errors import AuditorError, SettingsError
from auditor.policy.acceptances import Acceptance, load_acceptances, split
from auditor.policy.judge import judged
from auditor.policy.overrides import Override, load_overrides, overridden
from tests.results_builder import SHA, measurement, outcome, results

TODAY = datetime.date(2026, 11, 20)
REASON = "The model serves forty clinicians behind a login and gives only a class."
SIGNED = {
    "reason": REASON,
    "person": "A. Assessor",
    "role": "DPO",
    "date": datetime.date(2026, 11, 1),
    "expires": datetime.date(2027, 5, 1),
}
KEY = "released-model:membership/lira@trained:tpr_at_fpr[fpr=0.01]"
RUN = judged(results(outcome(measurement(0.5, 0.4, 0.6))))


def accept(**other):
    return Acceptance.model_validate(SIGNED | {"finding": KEY} | other)


def test_an_accepted_finding_does_not_count():
    found = split(RUN.findings, [accept()], today=TODAY)
    assert [finding.id for finding, _ in found.accepted] == [KEY]
    assert KEY not in {finding.id for finding in found.counted}
    assert found.void == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"expires": datetime.date(2026, 11, 19)}, "expired on 2026-11-19"),
        ({"date": datetime.date(2026, 11, 21)}, "begins on 2026-11-21"),
        ({"expires": datetime.date(2026, 10, 1)}, "expires before it begins"),
        ({"finding": "released-model:other"}, "no open finding"),
        ({"finding": "accounting:epsilon"}, "no open finding"),
    ],
)
def test_what_does_not_count(change, why):
    found = split(RUN.findings, [accept(**change)], today=TODAY)
    assert why in found.void[0]
    assert found.counted == RUN.findings
    assert found.accepted == ()


def test_the_last_day_still_counts():
    assert split(RUN.findings, [accept(expires=TODAY)], today=TODAY).void == ()


def override(**other):
    fields = {
        "actor": "released-model",
        "attack_class": "membership",
        "quantity": "likelihood",
        "computed": 4,
        "value": 3,
        "evidence": "access log of October",
        "second_person": "B. Controller",
        "model_sha256": SHA,
        "protocol_sha256": SHA,
    }
    return Override.model_validate(SIGNED | fields | other)


def test_the_computed_value_stays_beside_the_decided_one():
    found = overridden(RUN, [override()], today=TODAY)
    (cell,) = found.cells
    assert (cell.cell.likelihood, cell.likelihood, cell.severity) == (4, 3, 3)
    assert cell.cell == RUN.risks[0]
    assert cell.overrides[0].person == "A. Assessor"
    lowered = overridden(RUN, [override(value=2), override(quantity="severity", computed=3, value=2)], today=TODAY)
    assert lowered.cells[0].zone == "record"
    assert lowered.cells[0].cell.zone.startswith("decide before use")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"second_person": ""}, "second person"),
        ({"second_person": "a. assessor"}, "second person"),
        ({"computed": 3}, "now it gives 4"),
        ({"computed": None}, "now it gives 4"),
        ({"actor": "nobody"}, "no such cell"),
        ({"model_sha256": "b" * 64}, "the model changed"),
        ({"protocol_sha256": "b" * 64}, "the protocol changed"),
        ({"expires": datetime.date(2026, 11, 19)}, "expired"),
    ],
)
def test_an_override_that_counts_for_nothing(change, why):
    found = overridden(RUN, [override(**change)], today=TODAY)
    assert why in found.void[0]
    assert found.cells[0].likelihood == 4
    assert found.cells[0].overrides == ()


def test_raising_needs_no_second_person_and_setting_the_unknown_does():
    unknown = judged(results(outcome(measurement(0.02, 0.0, 0.2))))
    assert unknown.risks[0].likelihood is None
    alone = override(computed=None, value=4, second_person="")
    assert "second person" in overridden(unknown, [alone], today=TODAY).void[0]
    raised = override(quantity="severity", computed=3, value=4, second_person="")
    assert overridden(RUN, [raised], today=TODAY).cells[0].severity == 4


def test_two_overrides_of_one_value_cancel_each_other():
    assert len(overridden(RUN, [override(), override(value=2)], today=TODAY).void) == 2


def write(tmp_path, value):
    path = tmp_path / "people.yaml"
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value), encoding="utf-8")
    return path


def test_files_are_read(tmp_path):
    assert load_acceptances(write(tmp_path, {"accepted": [SIGNED | {"finding": KEY}]})) == (accept(),)
    assert load_overrides(write(tmp_path, {"overrides": [override().model_dump()]})) == (override(),)
    assert load_acceptances(write(tmp_path, {"accepted": []})) == ()


def test_every_problem_of_a_file_at_once(tmp_path):
    bad = [SIGNED | {"finding": KEY, "reason": "ok"}, SIGNED | {"finding": " ", "extra": 1}]
    with pytest.raises(SettingsError) as caught:
        load_acceptances(write(tmp_path, {"accepted": bad}))
    assert len(caught.value.problems) == 3
    assert caught.value.problems[0].startswith("people.yaml: accepted 1: reason:")


@pytest.mark.parametrize("text", ["- 1", "a: [1", "accepted: 1", "other: []", ""])
def test_files_that_are_no_list(tmp_path, text):
    with pytest.raises(AuditorError, match=r"people\.yaml"):
        load_acceptances(write(tmp_path, text))


def test_a_missing_file(tmp_path):
    with pytest.raises(AuditorError, match="cannot be read"):
        load_overrides(tmp_path / "people.yaml")


def test_a_level_outside_the_scale(tmp_path):
    with pytest.raises(SettingsError, match="value"):
        load_overrides(write(tmp_path, {"overrides": [override().model_dump() | {"value": 5}]}))
