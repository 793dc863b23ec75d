import re

import pytest
import yaml

from auditor import resources
from auditor.config.scenario import Scenario
from auditor.core.grants import Grant
from auditor.policy import keys
from auditor.policy.rule import LIKELIHOOD_RATIO_S1, SHARE_S1

FILES = sorted(resources.folder("scenarios").glob("*.yaml"))
SCENARIOS = [Scenario.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))) for path in FILES]
CLAIMS = re.compile(r"\b(compliant|certified|guarantee\w*|anonymous|safe|approved)\b", re.IGNORECASE)
METRICS = {"tpr_at_fpr", "recovered_share", "label_accuracy", "answer_accuracy", "accuracy_gain"}


ADVERSARIES = [scenario for scenario in SCENARIOS if not scenario.control]


@pytest.fixture(params=ADVERSARIES, ids=lambda scenario: scenario.name)
def scenario(request):
    return request.param


def test_there_are_the_three_adversaries_of_every_audit():
    assert {s.name for s in SCENARIOS} >= {"honest-server", "secure-aggregation-server", "released-model"}
    assert [s.name for s in SCENARIOS] == [path.stem for path in FILES]


def test_it_speaks_plainly(scenario):
    words = f"{scenario.title} {scenario.description} {' '.join(t.reason for t in scenario.thresholds)}"
    assert len(scenario.description.split()) >= 20
    assert not CLAIMS.search(words)


def test_every_limit_can_be_measured_and_has_a_reason(scenario):
    assert scenario.thresholds
    for threshold in scenario.thresholds:
        assert keys.parsed(threshold.metric).metric in METRICS
        assert len(threshold.reason.split()) > 10
        assert "not a legal number" in threshold.reason


def test_limits_are_the_upper_end_of_band_one(scenario):
    for threshold in scenario.thresholds:
        key = keys.parsed(threshold.metric)
        if key.metric == "tpr_at_fpr" and dict(key.at)["fpr"] <= 0.01:
            assert threshold.limit == pytest.approx(LIKELIHOOD_RATIO_S1 * dict(key.at)["fpr"])
        if key.metric == "recovered_share":
            assert threshold.limit == SHARE_S1


def test_its_attacks_exist_and_what_they_need_is_granted(scenario):
    from auditor.attacks.registry import available

    installed = available()
    for name in scenario.attacks:
        entry = installed[name]
        assert entry.attack is not None, entry.error
        needs = entry.attack.needs
        assert needs.grants <= scenario.grants
        assert not needs.one_of or needs.one_of & scenario.grants


def test_effort_points_are_in_range(scenario):
    assert 0 <= scenario.access <= 3
    assert 0 <= scenario.knowledge <= 3


def test_a_control_has_no_limits():
    assert all(not scenario.thresholds for scenario in SCENARIOS if scenario.control)


def test_no_adversary_is_granted_the_truth(scenario):
    assert Grant.LABELS not in scenario.grants


def test_the_sum_hides_the_single_update():
    (summed,) = [s for s in SCENARIOS if s.name == "secure-aggregation-server"]
    hidden = {Grant.CLIENT_UPDATE, Grant.PARTIAL_UPDATE, Grant.BATCH_NORM_STATISTICS}
    assert not hidden & summed.grants
    (outsider,) = [s for s in SCENARIOS if s.name == "released-model"]
    assert not {Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE, Grant.MODEL_WEIGHTS} & outsider.grants


def test_it_names_nothing_as_law_that_is_not(scenario):
    from auditor.controls.declared import contradicted

    words = [scenario.description, *(threshold.reason for threshold in scenario.thresholds)]
    assert not [entry.id for text in words for entry in contradicted(text)]
