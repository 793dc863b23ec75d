"""Whole trainings as adversaries see them: what is shown, what is asked, and what stays bounded."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from auditor.attacks.active.gradient_ascent import GradientAscent
from auditor.config.scenario import Scenario
from auditor.core.errors import AuditorError
from auditor.engine import watching
from auditor.engine.environment import numeric_environment
from auditor.engine.game import membership_game
from auditor.engine.packing import unpack
from auditor.engine.paths import Paths
from auditor.engine.plan import make_plan
from auditor.engine.questions import NOBODY, owners, questions
from auditor.engine.units import Made, Task, Unit
from auditor.engine.vantage import vantage
from auditor.engine.watching import Training, spaced, thinned
from auditor.engine.work import make_work
from auditor.engine.workshop import Workshop
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import State
from tests.engine.targets import audit, digits_target, document
from tests.engine.test_workshop import SPEED

TARGET = digits_target()
GAME = membership_game(TARGET, seed=3)


def units_of(
    folder: Path, scenario: str, *, parameters: dict[str, Any] | None = None, **federation: Any
) -> tuple[Workshop, list[Unit], Unit]:
    """The observations of trainings that a scenario needs, and the audited model's training."""
    known = {**audit()["parameters"], **(parameters or {})}
    asked = document(folder, scenarios=[scenario], federation={**audit()["federation"], **federation}, parameters=known)
    plan = make_plan(asked, TARGET, speed=SPEED)
    work = make_work(plan, asked, TARGET, environment=numeric_environment("cpu"), paths=Paths("serial", "serial"))
    workshop = Workshop(TARGET, asked.settings, device="cpu", locate=lambda key: folder / key)
    return (
        workshop,
        [unit for unit in work.observations if unit.details["view"] in ("rounds", "checkpoints")],
        work.train,
    )


def kept(folder: Path, made: Made) -> Any:
    path = folder / "output"
    path.write_bytes(made.output)
    return unpack(path)


def test_the_watched_training_is_the_audited_one(tmp_path: Path) -> None:
    workshop, units, train = units_of(tmp_path, "stored-checkpoints")
    (unit,) = [unit for unit in units if unit.details["view"] == "checkpoints"]
    found = kept(tmp_path, workshop.make(Task(unit)))
    audited = kept(tmp_path, workshop.make(Task(train)))
    last = found.under(f"{int(found.meta['count']) - 1}/")
    assert all(last[name].equal(audited.tensors[name]) for name in audited.tensors)


def test_the_log_holds_figures_and_no_update(tmp_path: Path) -> None:
    workshop, (unit,), _ = units_of(tmp_path, "honest-server")
    found = kept(tmp_path, workshop.make(Task(unit)))
    rounds, clients, asked = found.tensors["losses"].shape
    assert (rounds, clients, asked) == (3, 3, len(GAME.is_member))
    assert found.tensors["cosines"].isfinite().all()
    assert max(tensor.numel() for tensor in found.tensors.values()) == rounds * clients * asked
    assert found.tensors["truth.owner"].ge(0).equal(GAME.is_member[found.tensors["index"]])


def test_large_logs_keep_fewer_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_FIGURES", 3 * len(GAME.is_member) * 4)
    workshop, (unit,), _ = units_of(tmp_path, "honest-server", rounds=9)
    found = kept(tmp_path, workshop.make(Task(unit)))
    assert len(found.tensors["received"]) == 4
    assert found.meta["cohorts"][-1][0] == 8


def test_time_ends_a_log_early_and_says_so(tmp_path: Path) -> None:
    workshop, (unit,), _ = units_of(tmp_path, "honest-server", rounds=9)
    made = workshop.make(Task(unit, seconds_left=0.0))
    assert made.cut
    found = kept(tmp_path, made)
    assert found.meta["cut"]
    assert len(found.tensors["received"]) == 1


def test_colluders_take_their_own_updates_out(tmp_path: Path) -> None:
    workshop, units, _ = units_of(tmp_path, "colluding-clients", clients=4)
    (unit,) = [unit for unit in units if unit.details["view"] == "rounds"]
    found = kept(tmp_path, workshop.make(Task(unit)))
    assert unit.details["own"] == 2
    others = {client for _, cohort in found.meta["cohorts"] for client in cohort}
    assert len(others) == 2
    assert not found.meta["senders"]
    owner = found.tensors["truth.owner"]
    assert set(owner[owner >= 0].tolist()) == others


def test_a_clients_step_reaches_the_model_that_the_others_receive(tmp_path: Path) -> None:
    """After a long step the candidates' loss is higher than after one that is next to nothing."""
    worse = {}
    for rate in (1e-6, 0.2):
        parameters = {"membership/gradient-ascent": {"rate": rate}}
        workshop, (unit,), _ = units_of(tmp_path, "malicious-client", rounds=8, parameters=parameters)
        found = kept(tmp_path, workshop.make(Task(unit)))
        assert [number for number, _ in found.meta["cohorts"]] == [3, 5, 7]
        assert all(len(cohort) == 2 for _, cohort in found.meta["cohorts"])
        worse[rate] = found.tensors["received"].mean(dim=1)
    assert (worse[0.2] > worse[1e-6] + 0.01).all()


def test_a_malicious_server_sends_the_worsened_model(tmp_path: Path) -> None:
    scenario = tmp_path / "worse.yaml"
    scenario.write_text(
        "title: Worse\ndescription: Worse.\nactor: server\nbehaviour: active\nthresholds: []\n"
        "grants: [alters_model, joins_many_rounds, all_rounds, client_update]\nattacks: [membership/gradient-ascent]\n"
    )
    workshop, (unit,), _ = units_of(tmp_path, "worse.yaml", rounds=5)
    sent: list[State] = []
    original = GradientAscent.altered

    def altered(self: Any, state: State, candidates: Any, model: FunctionalModel, *, turn: int) -> Any:
        assert turn == len(sent)
        sent.append(original(self, state, candidates, model, turn=turn))
        return sent[-1]

    GradientAscent.altered = altered  # type: ignore[method-assign]
    try:
        found = kept(tmp_path, workshop.make(Task(unit)))
    finally:
        GradientAscent.altered = original  # type: ignore[method-assign]
    assert len(sent) == 3
    assert [number for number, _ in found.meta["cohorts"]] == [2, 3, 4]
    assert found.meta["senders"] == [0, 1, 2]


def test_a_trial_finds_what_grows_with_the_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that costs much in itself is no reason to ask fewer questions."""

    def see(self: Any, view: Any, *, turn: int = 0) -> None:
        time.sleep(0.05 + 0.002 * len(self.candidates))

    workshop, (unit,), _ = units_of(tmp_path, "honest-server")
    training = Training(unit, TARGET, initial=workshop.models.initial(), device="cpu")
    plan = vantage(unit.details, training.federation, attack=None, cohort=training._cohort)
    asked = questions(GAME, training.play.parts, clients={0, 1, 2}, seed=1)
    monkeypatch.setattr(watching.Watch, "see", see)
    cost = training._cost(GAME, plan, asked, cohort=(0, 1, 2))
    assert cost is not None
    assert cost.question == pytest.approx(0.002, rel=0.5)
    assert cost.round == pytest.approx(0.05, rel=0.5)


def test_questions_ask_about_members_owners_and_spread_alike() -> None:
    parts = [torch.arange(0, 10), torch.arange(10, 40), torch.arange(40, 60)]
    asked = questions(GAME, parts, clients={0, 1, 2}, seed=1)
    inside = asked.owner >= 0
    assert asked.asked[inside].equal(asked.owner[inside])
    assert asked.asked[~inside].bincount().equal(asked.asked[inside].bincount())
    some = questions(GAME, parts, clients={1}, seed=1)
    assert set(some.owner.tolist()) == {NOBODY, 1}
    assert set(some.asked.tolist()) == {1}


def test_owners_follow_the_partition() -> None:
    parts = [torch.arange(0, 30), torch.arange(30, 60)]
    owner = owners(GAME, parts)
    records = GAME.candidates[owner == 1]
    assert len(records) == 30
    assert all(any(torch.equal(one, other) for other in TARGET.members.inputs[30:]) for one in records.inputs)


def test_without_anybody_to_ask_about_it_says_so(tmp_path: Path) -> None:
    workshop, (unit,), _ = units_of(tmp_path, "honest-server")
    training = Training(unit, TARGET, initial=workshop.models.initial(), device="cpu")
    empty = [torch.zeros(0, dtype=torch.int64) for _ in training.play.parts]
    object.__setattr__(training.play, "parts", empty)
    with pytest.raises(AuditorError, match="No client"):
        training.log(GAME, attack=None, seconds_left=None)


@pytest.mark.parametrize(("length", "count", "places"), [(5, 5, [0, 1, 2, 3, 4]), (9, 3, [2, 5, 8]), (4, 1, [3])])
def test_spaced_places_end_with_the_last(length: int, count: int, places: list[int]) -> None:
    assert spaced(length, count) == places


def test_an_adversary_of_clients_has_some_and_leaves_some() -> None:
    base: dict[str, Any] = {
        "name": "x",
        "title": "X",
        "description": "X",
        "grants": frozenset(),
        "attacks": (),
        "thresholds": (),
    }
    assert Scenario(actor="server", **base).own_clients(10) == 0
    assert Scenario(actor="client", **base).own_clients(10) == 1
    assert Scenario(actor="colluders", **base).own_clients(10) == 5
    assert Scenario(actor="colluders", colluding_share=0.99, **base).own_clients(10) == 9


def test_a_sum_is_handed_on_without_the_updates_in_it(tmp_path: Path) -> None:
    from auditor.attacks.membership.gradient_alignment import GradientAlignment
    from auditor.engine.seen import handed

    workshop, (unit,), _ = units_of(tmp_path, "honest-server")
    kept(tmp_path, workshop.make(Task(unit)))
    attack = GradientAlignment(GradientAlignment.Params())
    for sees in (True, False):
        seen = handed(
            {"view": "rounds", "sees_clients": sees},
            tmp_path / "output",
            attack,
            target=TARGET,
            models=workshop.models,
            device="cpu",
        )
        assert bool(seen.senders) == sees  # type: ignore[union-attr]


def test_where_time_is_short_enough_questions_come_before_many_rounds() -> None:
    assert thinned(10_000, rounds=10, questions=1000) == (10, 1000)
    assert thinned(6_000, rounds=10, questions=1000) == (10, 600)
    assert thinned(2_000, rounds=10, questions=1000) == (5, 400)
    assert thinned(450, rounds=10, questions=1000) == (1, 400)
    assert thinned(90, rounds=10, questions=1000) == (1, 90)
    assert thinned(90, rounds=10, questions=60) == (1, 60)
    assert thinned(0, rounds=10, questions=60) == (1, 2)


def test_a_model_too_slow_for_all_questions_is_asked_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "ENOUGH", 20)
    workshop, (unit,), _ = units_of(tmp_path, "honest-server", rounds=9)
    whole = kept(tmp_path, workshop.make(Task(unit, seconds_left=3600.0)))
    assert not whole.meta["cut"]
    assert whole.tensors["losses"].shape == (9, 3, len(GAME.is_member))
    monkeypatch.setattr(watching, "SHARE_WATCHED", 1e-9)
    made = workshop.make(Task(unit, seconds_left=3600.0))
    found = kept(tmp_path, made)
    assert made.cut
    assert found.tensors["losses"].shape[0] == 1
    assert 2 <= found.tensors["losses"].shape[2] < 20
