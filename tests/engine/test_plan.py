from pathlib import Path
from typing import Any

import pytest

from auditor.attacks import registry
from auditor.attacks.registry import AttackEntry
from auditor.cli.plan import _totals
from auditor.core.errors import SettingsError
from auditor.engine import plan as planning
from auditor.engine.plan import Plan, PlannedAttack, make_plan
from auditor.engine.probe import Speed
from tests.engine.targets import audit, digits_target, document, tumour_target

SPEED = Speed(single=0.005, gradient=0.01, records=8, step=0.001, record=1e-6)


def planned(**changes: Any) -> Plan:
    return make_plan(document(Path(), **changes), digits_target(), speed=SPEED)


def row(plan: Plan, attack: str, *, scenario: str = "honest-server") -> PlannedAttack:
    return next(row for row in plan.attacks if (row.attack, row.scenario) == (attack, scenario))


def federation(**changes: Any) -> dict[str, Any]:
    return {**audit()["federation"], **changes}


def test_reconstruction_is_tried_on_the_fresh_and_on_the_trained_model() -> None:
    states = [row.state for row in planned().attacks if row.attack == "inversion/labels"]
    assert states == ["initial", "trained"]


def test_membership_is_tried_on_the_trained_model() -> None:
    states = [row.state for row in planned().attacks if row.attack == "membership/lira"]
    assert states == ["trained"]


def test_secure_aggregation_withholds_the_single_update_and_the_plan_says_why() -> None:
    made = planned(federation=federation(aggregation={"secure": {"enabled": True}}))
    runs = [r for r in made.attacks if r.scenario == "honest-server" and r.runs]
    assert {r.view for r in runs if r.attack.startswith("inversion/")} == {"aggregate"}
    assert "client" not in {r.view for r in runs}
    assert "secure" in made.to_json()["withheld"]["honest-server"]["client_update"]


def test_nobody_is_called_a_member_of_given_weights_by_a_draw() -> None:
    target = {**audit()["target"], "weights": "w.safetensors"}
    plan = planned(target=target, scenarios=["honest-server"])
    assert row(plan, "inversion/labels").runs
    assert row(plan, "membership/gradient-alignment").runs, "a training of the tool's own, whose members it knows"
    told = row(plan, "membership/gradient-norm")
    assert told.status == "not_applicable"
    assert any("which records trained target.weights" in reason for reason in told.reasons)


def test_an_attack_whose_only_grant_is_withheld_gives_that_as_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.available()["inversion/labels"]
    assert entry.attack is not None

    class OnlyClients(entry.attack):  # type: ignore[name-defined, misc]
        needs = type(entry.attack.needs)(frozenset({planning.Grant.CLIENT_UPDATE}))

    installed = {**registry.available(), "inversion/labels": AttackEntry("inversion/labels", OnlyClients)}
    monkeypatch.setattr(planning, "available", lambda: installed)
    made = planned(federation=federation(aggregation={"secure": {"enabled": True}}))
    found = row(made, "inversion/labels")
    assert found.status == "not_applicable"
    assert found.reasons == (
        "needs an adversary that sees the update of a single client, which is withheld: "
        "federation.aggregation.secure is enabled: only the sum over a round's clients is visible",
    )


def test_what_does_not_apply_says_which_grant_is_missing() -> None:
    found = row(planned(attacks="all"), "inversion/labels", scenario="released-model")
    assert found.status == "not_applicable"
    assert "scenario 'released-model'" in found.reasons[0]


def test_an_attack_that_cannot_be_imported_is_listed_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = AttackEntry("membership/lira", None, "ImportError: no module named 'jax'")
    monkeypatch.setattr(planning, "available", lambda: {**registry.available(), "membership/lira": broken})
    made = make_plan(document(Path(), parameters={}), digits_target(), speed=SPEED)
    found = row(made, "membership/lira", scenario="released-model")
    assert (found.status, found.reasons) == ("not_run", ("cannot be imported: ImportError: no module named 'jax'",))


def test_every_attack_of_every_scenario_has_a_row() -> None:
    made = planned(attacks="all")
    for scenario in made.scenarios:
        if not scenario.control:
            assert {r.attack for r in made.attacks if r.scenario == scenario.name} == set(registry.available())


def test_reconstruction_comes_with_a_positive_control() -> None:
    made = planned()
    running = {r.attack for r in made.attacks if r.runs and not r.control and r.attack.startswith("inversion/g")}
    controls = {r.attack for r in made.attacks if r.runs and r.control}
    assert running
    assert running <= controls
    assert not any(r.control for r in planned(attacks=["membership/lira"]).attacks)


def test_no_client_is_seen_twice_where_its_update_holds_all_its_records() -> None:
    assert row(planned(budget={"updates": 9}), "inversion/labels").updates == 3
    secure = federation(aggregation={"secure": {"enabled": True}})
    assert row(planned(federation=secure, budget={"updates": 9}), "inversion/labels").updates == 1


def test_single_batches_are_drawn_as_often_as_asked() -> None:
    made = planned(federation=federation(algorithm="fedsgd"), budget={"updates": 9})
    assert row(made, "inversion/labels").updates == 9


def test_the_estimate_grows_with_work() -> None:
    few = planned(parameters={"inversion/gradient-matching": {"iterations": 10}})
    many = planned(parameters={"inversion/gradient-matching": {"iterations": 1000}})
    short, long = (row(made, "inversion/gradient-matching").seconds for made in (few, many))
    assert short is not None
    assert long is not None
    assert long > 3 * short


def test_the_protocol_follows_the_parameters_and_not_the_machine() -> None:
    base = planned().protocol_sha256
    slower = make_plan(
        document(Path()), digits_target(), speed=Speed(single=1.0, gradient=1.0, records=8, step=1.0, record=1.0)
    )
    assert slower.protocol_sha256 == base
    assert planned(parameters={"membership/lira": {"reference_models": 5}}).protocol_sha256 != base


def test_the_protocol_fixes_the_declared_mechanism_and_not_the_budget() -> None:
    base = planned()
    claimed = planned(privacy={"mechanism": "none", "claimed_epsilon": 3.0})
    assert claimed.protocol_sha256 != base.protocol_sha256
    assert claimed.adversaries_sha256 == base.adversaries_sha256
    assert planned(budget={"minutes": 1.0}).protocol_sha256 == base.protocol_sha256


def test_all_wrong_names_are_reported_at_once_with_suggestions() -> None:
    wrong = {
        "membership/lyra": {},
        "membership/lira": {"reference_modls": 3},
        "membership/rmia": {"reference_models": 0},
    }
    with pytest.raises(SettingsError) as caught:
        planned(parameters=wrong)
    text = str(caught.value)
    assert "there is no attack 'membership/lyra'; did you mean 'membership/lira'?" in text
    assert "parameters.membership/lira.reference_modls: not a parameter; did you mean 'reference_models'?" in text
    assert "parameters.membership/rmia.reference_models:" in text
    with pytest.raises(SettingsError, match="did you mean 'inversion/labels'"):
        planned(attacks=["inversion/label"])


def test_a_table_is_planned_too() -> None:
    made = make_plan(document(Path()), tumour_target(), speed=SPEED)
    assert all(r.runs for r in made.attacks if r.attack == "inversion/linear-layer")


def test_memory_grows_with_the_model_and_is_said() -> None:
    made = planned()
    size = digits_target().model.shape.parameters
    assert made.training_bytes >= 6 * 4 * size * 8
    assert any(line.startswith("Memory: training holds about ") for line in _totals(made))


def test_an_attack_that_cannot_finish_its_least_work_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.available()["inversion/labels"]
    assert entry.attack is not None

    class Long(entry.attack):  # type: ignore[name-defined, misc]
        def cost(self, shape: Any) -> planning.Cost:
            return planning.Cost(gradient_evaluations=1_000_000, least=100_000)

    monkeypatch.setattr(
        planning,
        "available",
        lambda: {**registry.available(), "inversion/labels": AttackEntry("inversion/labels", Long)},
    )
    found = row(planned(budget={"minutes": 1}), "inversion/labels")
    assert found.status == "not_run"
    assert found.reasons[0].startswith("not within the budget: one update takes at least ")
    assert "budget.minutes is 1;" in found.reasons[0]
    assert row(planned(budget={"minutes": 1_000}), "inversion/labels").runs


def test_what_does_not_apply_is_not_counted_as_planned() -> None:
    made = planned(attacks="all")
    unfit = [r for r in made.attacks if r.status == "not_applicable"]
    assert unfit
    assert made.counts["planned"] == sum(r.runs for r in made.attacks)
    assert made.counts["not_applicable"] == len(unfit)
    assert sum(made.counts.values()) == len(made.attacks)
    assert made.to_json()["counts"] == made.counts
    assert f"{len(unfit)} not applicable" in _totals(made)[0]
    assert _totals(made)[0].startswith(f"{made.counts['planned']} attack runs planned; ")
    assert "each of them with its reason above" in _totals(made)[0]
    assert all(r.reasons for r in unfit)


def test_values_of_a_sweep_are_counted_apart() -> None:
    sweep = {"setting": "federation.local.batch_size", "values": [1, 4], "attacks": ["inversion/labels"]}
    made = planned(sweeps=[{**sweep, "scenario": "honest-server"}])
    tried = sum(r.runs for r in made.attacks if r.what_if)
    assert tried
    assert made.counts == planned().counts
    assert f"Sweeps add {tried} run" in _totals(made)[0]
