import json

import pytest
from pydantic import BaseModel

from auditor.config.scenario import Scenario
from auditor.core.canonical import digest
from auditor.core.errors import AuditorError
from auditor.core.findings import Threshold
from auditor.policy import rule
from auditor.policy.protocol import planned_protocol, protocol, protocol_digest, require_unchanged

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


SETTINGS = {
    "audit": {"seed": 7, "release_context": "public", "organisation": {"data_category": "ordinary"}},
    "federation": {"algorithm": "fedavg", "clients": 4},
    "privacy": {"mechanism": "dp_sgd", "noise_multiplier": 1.0, "claimed_epsilon": 16.0},
    "budget": {"minutes": 10.0},
    "compute": {"device": "cpu"},
    "report": {"formats": ["html"]},
    "sweeps": [],
}


def changed_settings(path, value):
    settings = json.loads(json.dumps(SETTINGS))
    *blocks, last = path.split(".")
    block = settings
    for name in blocks:
        block = block[name]
    block[last] = value
    return settings


def fixed(settings=SETTINGS):
    return protocol([scenario()], PARAMETERS, settings=settings)


DECIDING = [
    ("privacy.claimed_epsilon", 3.0, "16.0", "3.0"),
    ("privacy.noise_multiplier", 0.5, "1.0", "0.5"),
    ("audit.seed", 8, "7", "8"),
    ("audit.release_context", "internal", '"public"', '"internal"'),
    ("audit.organisation.data_category", "public", '"ordinary"', '"public"'),
    ("audit.organisation.membership_is_sensitive", False, "nothing", "false"),
    ("federation.clients", 40, "4", "40"),
]


@pytest.mark.parametrize(("path", "value", "before", "now"), DECIDING)
def test_what_the_verdict_rests_on_is_fixed_and_named_when_it_changes(path, value, before, now):
    with pytest.raises(AuditorError) as caught:
        require_unchanged(fixed(), fixed(changed_settings(path, value)), where="saved.json", remedy="plan anew.")
    assert caught.value.what.startswith(f"saved.json fixed other values before the run: {path}: {before} was fixed, ")
    assert f"{now} now (protocol " in caught.value.what
    assert caught.value.remedy == "Put the value back, or plan anew."


@pytest.mark.parametrize(
    ("path", "value"),
    [("budget.minutes", 1.0), ("compute.device", "mps"), ("report.formats", ["pdf"]), ("sweeps", [{"values": [1]}])],
)
def test_budget_machine_report_and_sweeps_may_change(path, value):
    require_unchanged(fixed(), fixed(changed_settings(path, value)), where="p", remedy="r")


def test_runs_with_other_settings_share_their_adversaries():
    assert "declared" not in protocol([scenario()], PARAMETERS)
    assert protocol_digest([scenario()], PARAMETERS, settings=SETTINGS) != BASE


def test_many_changes_are_counted_and_missing_blocks_are_said():
    settings = changed_settings("federation", {f"f{k}": k for k in range(9)})
    with pytest.raises(AuditorError, match=r"and 7 more"):
        require_unchanged(fixed(), fixed(settings), where="p", remedy="r")
    with pytest.raises(AuditorError, match=r"declared: nothing was fixed"):
        require_unchanged(protocol([scenario()], PARAMETERS), fixed(), where="p", remedy="r")


def test_a_saved_plan_is_read_and_an_altered_one_refused(tmp_path):
    path, value = tmp_path / "plan.json", fixed()
    path.write_text(json.dumps({"protocol": value, "protocol_sha256": digest(value)}))
    assert planned_protocol(path) == value
    value["declared"]["audit.seed"] = 8
    path.write_text(json.dumps({"protocol": value, "protocol_sha256": digest(fixed())}))
    with pytest.raises(AuditorError, match="was altered"):
        planned_protocol(path)
    path.write_text("[]")
    with pytest.raises(AuditorError, match="is no plan"):
        planned_protocol(path)
