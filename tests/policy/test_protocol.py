import pytest
from pydantic import BaseModel

from auditor.config.scenario import Scenario
from auditor.core.errors import AuditorError
from auditor.core.findings import Threshold
from auditor.policy import rule
from auditor.policy.protocol import protocol_digest, require_unchanged

LIMIT = Threshold(metric="tpr_at_fpr[fpr=0.01]", limit=0.05, reason="five times chance")


def scenario(**other):
    fields = {
        "name": "released-model",
        "title": "t",
        "description": "d",
        "actor": "outsider",
        "grants": ["model_queries", "population_data"],
        "attacks": ["membership/lira"],
        "thresholds": [LIMIT],
    } | other
    return Scenario.model_validate(fields)


PARAMETERS = {"membership/lira": {"models": 16, "online": False}}
BASE = protocol_digest([scenario()], PARAMETERS)


def test_what_changes_no_result_changes_no_digest():
    other_words = LIMIT.model_copy(update={"reason": "other words"})
    same = scenario(title="T", description="D", grants=["population_data", "model_queries"], thresholds=[other_words])
    assert protocol_digest([same], {"membership/lira": {"online": False, "models": 16}}) == BASE
    two = [scenario(), scenario(name="b")]
    assert protocol_digest(two, {}) == protocol_digest(two[::-1], {})


@pytest.mark.parametrize(
    "changed",
    [
        {"grants": ["model_queries"]},
        {"attacks": ["membership/rmia"]},
        {"thresholds": []},
        {"thresholds": [LIMIT.model_copy(update={"limit": 0.06})]},
        {"thresholds": [LIMIT.model_copy(update={"metric": "tpr_at_fpr[fpr=0.001]"})]},
        {"actor": "client"},
        {"behaviour": "active"},
        {"access": 1},
        {"knowledge": 1},
        {"name": "other"},
        {"control": True},
        {"federation": {"local": {"batch_size": 1}}},
        {"privacy": {"mechanism": "none"}},
    ],
)
def test_everything_that_decides_is_hashed(changed):
    assert protocol_digest([scenario(**changed)], PARAMETERS) != BASE


def test_parameters_and_the_risk_rule_are_hashed(monkeypatch):
    assert protocol_digest([scenario()], {"membership/lira": {"models": 17, "online": False}}) != BASE
    monkeypatch.setattr(rule, "LIKELIHOOD_RATIO_S1", 6.0)
    assert protocol_digest([scenario()], PARAMETERS) != BASE


def test_limits_may_be_given_apart():
    assert protocol_digest([scenario()], PARAMETERS, {"released-model": [LIMIT]}) == BASE
    assert protocol_digest([scenario()], PARAMETERS, {"released-model": []}) != BASE


def test_parameters_may_be_models_sets_and_tuples():
    class Params(BaseModel):
        models: int = 16
        online: bool = False

    assert protocol_digest([scenario()], {"membership/lira": Params()}) == BASE
    assert protocol_digest([], {"a": {"x": {3, 1}}}) == protocol_digest([], {"a": {"x": (1, 3)}})


def test_two_scenarios_of_one_name_are_refused():
    with pytest.raises(ValueError, match="one name"):
        protocol_digest([scenario(), scenario()], {})


def test_a_changed_protocol_is_refused_with_what_to_do():
    require_unchanged(planned="", found="b", plan="runs/x")
    require_unchanged(planned="a", found="a", plan="runs/x")
    with pytest.raises(AuditorError, match="changed after the plan was made") as caught:
        require_unchanged(planned="a" * 64, found="b" * 64, plan="runs/x/audit.lock.yaml")
    assert "runs/x/audit.lock.yaml" in str(caught.value)
    assert "--out" in caught.value.remedy
