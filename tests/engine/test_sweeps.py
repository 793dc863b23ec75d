"""Sweeps in the plan: every value is played, nothing of it is audited."""

from pathlib import Path
from typing import Any

import pytest

from auditor.core.errors import SettingsError
from auditor.core.measurement import Outcome
from auditor.engine.plan import Plan, make_plan
from auditor.engine.probe import Speed
from auditor.engine.sweeps import curves
from tests.engine.targets import digits_target, document

SPEED = Speed(single=0.005, gradient=0.01, records=8, step=0.001, record=1e-6)
SETTING = "federation.local.batch_size"


def planned(*attacks: str, **changes: Any) -> Plan:
    sweep = {"setting": SETTING, "values": [1, 2], "attacks": list(attacks) or ["inversion/linear-layer"]}
    return make_plan(document(Path(), **({"sweeps": [sweep]} | changes)), digits_target(), speed=SPEED)


def test_values_become_adversaries_that_are_not_audited() -> None:
    plan = planned()
    swept = {row.scenario for row in plan.attacks if row.what_if}
    assert {"honest-server@batch_size=1", "honest-server@batch_size=2"} <= swept
    assert not swept & {scenario.name for scenario in plan.scenarios}
    assert len({row.key for row in plan.attacks}) == len(plan.attacks)


def test_the_protocol_and_the_audited_rows_do_not_change() -> None:
    plain, swept = planned(sweeps=[]), planned()
    assert plain.protocol_sha256 == swept.protocol_sha256
    assert plain.attacks == tuple(row for row in swept.attacks if not row.what_if)


def test_the_audited_value_is_a_point_and_is_not_done_twice() -> None:
    plan = planned()
    (own,) = [variant for variant in plan.variants if variant.declared]
    assert not [row for row in plan.attacks if row.scenario == own.scenario.name and row.runs]
    outcomes = tuple(
        Outcome(scenario=row.scenario, attack=row.attack, state=row.state, status="measured") for row in plan.attacks
    )
    audited, (curve,) = curves(document(Path(), sweeps=[_sweep()]), plan.variants, outcomes)
    assert not [outcome for outcome in audited if "@" in outcome.scenario]
    assert {point.value for point in curve.points} == {1, 2, own.value}
    assert all(point.outcomes for point in curve.points)
    assert curve.declared == own.value


def _sweep() -> dict[str, Any]:
    return {"setting": SETTING, "values": [1, 2], "attacks": ["inversion/linear-layer"]}


def test_an_attack_on_the_finished_model_says_why_it_is_not_swept() -> None:
    rows = [row for row in planned("membership/loss-threshold").attacks if row.what_if]
    assert rows
    assert {row.status for row in rows} == {"not_applicable"}
    assert all("single rounds" in reason for row in rows for reason in row.reasons)


def test_an_unknown_attack_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="did you mean 'inversion/labels'"):
        planned("inversion/label")
