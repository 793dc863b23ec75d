"""Whole runs in memory: what is handed to an adversary, and what comes out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from auditor.attacks.membership.lira import Lira
from auditor.attacks.registry import available
from auditor.core.grants import Grant
from auditor.core.measurement import Outcome
from auditor.engine.environment import numeric_environment
from auditor.engine.executors import Serial
from auditor.engine.game import membership_game
from auditor.engine.measure import Measurer
from auditor.engine.paths import Paths
from auditor.engine.plan import make_plan
from auditor.engine.probe import Speed
from auditor.engine.progress import Silent
from auditor.engine.session import Clock, Session
from auditor.engine.work import make_work, reference_units
from auditor.engine.workshop import Workshop
from auditor.store.run_directory import RunDirectory
from auditor.targets.target import Target
from tests.engine.makers import SMALL
from tests.engine.targets import audit, digits_target, document, tumour_target

SPEED = Speed(single=1e-4, gradient=1e-4, records=1, step=1e-4, record=1e-6)


@contextmanager
def ran(
    folder: Path, target: Target, *, how: Any = "serial", device: str = "cpu", **changes: Any
) -> Iterator[list[Outcome]]:
    asked = document(folder, **changes)
    plan = make_plan(asked, target, speed=SPEED)
    paths = Paths(how, how)
    work = make_work(plan, asked, target, environment=numeric_environment("cpu"), paths=paths)
    with RunDirectory(folder / "run").opened() as directory:
        workshop = Workshop(target, asked.settings, device=device, locate=directory.output_path)
        session = Session(directory, Serial(workshop), clock=Clock(5), progress=Silent())
        session.run(plan, work)
        game = membership_game(target, seed=3)
        measurer = Measurer(plan, work, session, target=target, game=game, directory=directory, seed=3)
        yield list(measurer.outcomes())


def statuses(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.key: outcome.status for outcome in outcomes if not outcome.control}


@pytest.mark.parametrize("how", ["serial", "stacked"])
def test_a_run_measures_every_attack_that_applies(tmp_path: Path, how: str) -> None:
    with ran(tmp_path, digits_target(), how=how) as outcomes:
        found = statuses(outcomes)
    assert found["honest-server:inversion/labels@initial"] == "measured"
    assert found["released-model:membership/lira@trained"] == "measured"
    assert set(found.values()) <= {"measured", "not_applicable"}


def test_a_malicious_server_alters_the_model_and_reads_records(tmp_path: Path) -> None:
    changes = {"scenarios": ["malicious-server"], "attacks": ["inversion/imprint"]}
    federation = {**audit()["federation"], "algorithm": "fedsgd"}
    with ran(tmp_path, digits_target(), federation=federation, **changes) as outcomes:
        measured = [outcome for outcome in outcomes if outcome.status == "measured"]
    assert measured, [outcome.reasons for outcome in outcomes]
    shares = [m.value for o in measured for m in o.measurements if m.metric == "recovered_share"]
    assert max(share for share in shares if share is not None) > 0.2


def test_an_attack_on_a_finite_prior_gets_it(tmp_path: Path) -> None:
    federation = {**audit()["federation"], "algorithm": "fedsgd", "local": {"batch_size": 1}}
    with ran(tmp_path, digits_target(), federation=federation, attacks=["inversion/prior-aware"]) as outcomes:
        found = [o for o in outcomes if o.attack == "inversion/prior-aware" and o.status == "measured"]
    assert found
    answers = [m for outcome in found for m in outcome.measurements if m.metric == "answer_accuracy"]
    assert max(m.value for m in answers if m.value is not None) == 1.0
    assert {m.floor for m in answers} == {0.1}, "a blind guess among ten candidates"


def test_reference_models_are_the_same_in_one_program_and_one_by_one(tmp_path: Path) -> None:
    """Equal within the tolerance that the vectorised path states; they see the same records."""
    from auditor.engine.packing import unpack
    from auditor.learning.many import TOLERANCE

    target, asked = tumour_target(), document(tmp_path)
    plan = make_plan(asked, target, speed=SPEED)
    found = {}
    for how in ("serial", "stacked"):
        paths = Paths(how, "serial")  # type: ignore[arg-type]
        work = make_work(plan, asked, target, environment={}, paths=paths)
        units = reference_units(work.references, plan.reference_models)
        assert sum(len(unit.details["indices"]) for unit in units) == plan.reference_models
        with RunDirectory(tmp_path / how).opened() as directory:
            workshop = Workshop(target, asked.settings, device="cpu", locate=directory.output_path)
            session = Session(directory, Serial(workshop), clock=Clock(5), progress=Silent())
            stage = next(s for s in session.stages(plan, work) if s.name == "Reference models")
            session.run_stage(stage)
            packed = [unpack(directory.output_path(unit.key)).tensors for unit in units]
        found[how] = {name: torch.cat([tensors[name] for tensors in packed]) for name in packed[0]}
    assert found["serial"]["included"].equal(found["stacked"]["included"])
    gap = (found["serial"]["losses"] - found["stacked"]["losses"]).abs().max()
    assert gap < 100 * TOLERANCE


def spied(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What LiRA is handed."""
    seen: list[Any] = []
    original = Lira.run

    def run(self: Any, observation: Any, known: Any, context: Any) -> Any:
        seen.append((observation, known, context))
        return original(self, observation, known, context)

    monkeypatch.setattr(Lira, "run", run)
    return seen


def test_an_adversary_gets_what_was_granted_and_its_order_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = spied(monkeypatch)
    target = digits_target()
    with ran(tmp_path, target, scenarios=["released-model"], attacks=["membership/lira"]) as outcomes:
        assert statuses(outcomes)["released-model:membership/lira@trained"] == "measured"
    _, known, context = seen[0]
    assert len(known.references) == 4
    assert known.population.inputs.equal(target.population.inputs)
    assert known.candidates is None
    assert context.seed > 0
    assert not hasattr(known, "members")


def test_without_population_or_recipe_there_are_no_references(tmp_path: Path) -> None:
    scenario = tmp_path / "queries-only.yaml"
    scenario.write_text(
        "title: Queries\ndescription: Only queries.\nactor: outsider\ngrants: [model_queries]\n"
        "attacks: [membership/lira, membership/loss-threshold]\nthresholds: []\n"
    )
    with ran(tmp_path, digits_target(), scenarios=["queries-only.yaml"]) as outcomes:
        by_attack = {outcome.attack: outcome for outcome in outcomes if not outcome.control}
    assert by_attack["membership/lira"].status == "not_applicable"
    assert any(Grant.POPULATION_DATA.words in reason for reason in by_attack["membership/lira"].reasons)
    assert by_attack["membership/loss-threshold"].status == "measured"


def test_all_registered_attacks_end_in_one_of_the_four_ways(tmp_path: Path) -> None:
    scenarios = ["honest-server", "secure-aggregation-server", "released-model"]
    parameters = {
        name: small
        for name, entry in available().items()
        if entry.attack and (small := {k: v for k, v in SMALL.items() if k in entry.attack.Params.model_fields})
    }
    with ran(tmp_path, tumour_target(), scenarios=scenarios, attacks="all", parameters=parameters) as outcomes:
        assert {outcome.attack for outcome in outcomes} >= set(available())
        assert {outcome.status for outcome in outcomes} <= {"measured", "not_applicable", "failed", "not_run"}
        assert all(outcome.reasons for outcome in outcomes if outcome.status != "measured")
        assert not [reason for o in outcomes for reason in o.reasons if "unexpected" in reason]
