"""Active attacks in a federation of shopping baskets, which stands in for the research's L-FL (Location-30).

Ten clients with 200 baskets each, 40 rounds of 2 epochs at rate .2 in batches of 16, as the research had it for L;
2,000 other baskets are held by nobody. Written before a figure was seen: three worsened rounds find more than the loss
of the last honest model does (in all three of the research's cases: .847 against .778, .603 against .585, .549 against
.521); a neuron of their own names at least 95 % of the members without one false positive among the 2,000 (row 9).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from auditor.attacks.active.gradient_ascent import GradientAscent
from auditor.attacks.active.relu_trap import ReluTrap, trap_rows
from auditor.attacks.base import Knowledge, RunContext
from auditor.attacks.membership.rmia import area
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from auditor.observations.released import Rounds
from tests.federated_cases import Federation, federation
from tests.membership_cases import BASKETS, HIDDEN, baskets, shared_model

pytestmark = pytest.mark.papers

CLIENTS, HONEST = 10, 40
TURNS = -(-BASKETS // HIDDEN)
ASCENT, TRAP = GradientAscent(GradientAscent.Params()), ReluTrap(ReluTrap.Params())
Alter = Callable[[dict[str, Tensor], Records], dict[str, Tensor]]


@pytest.fixture(scope="module", params=[100, 30], ids=["100 classes", "30 classes"])
def classes(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def played(shared: Path, classes: int, alter: Alter, *, altered: int, seed: int) -> Federation:
    return federation(
        split=baskets(shared, classes=classes, seed=seed),
        rounds=HONEST,
        epochs=2,
        alter=alter,
        altered_rounds=altered,
        seed=seed,
    )


def areas(shared_data: Path, classes: int, *, seed: int) -> tuple[float, float]:
    """Mean AUC over the clients: of three worsened rounds, and of the loss of the last honest model."""
    shared = shared_model(inputs=169, classes=classes)
    model = FunctionalModel(shared)
    log = played(
        shared_data, classes, lambda state, asked: ASCENT.altered(state, asked, model, turn=0), altered=3, seed=seed
    )
    honest = log.rounds[HONEST - 1]
    last = {name: honest.before[name] + honest.aggregate[name] for name in honest.before}
    loss = -model.losses(last, log.candidates).detach()
    active, passive = 0.0, 0.0
    for client in range(CLIENTS):
        seen = Rounds(log.rounds[-3:], log.candidates, client, log.local)
        scores = ASCENT.run(seen, Knowledge(shared), RunContext()).scores
        asked = (log.owner == client) | (log.owner < 0)
        active += area(scores[asked], (log.owner == client)[asked]) / CLIENTS
        passive += area(loss[asked], (log.owner == client)[asked]) / CLIENTS
    return active, passive


class FromOthers(ReluTrap):
    """Rows drawn from population records and those of one turn: the server holds no other record of any client."""

    def __init__(self, population: Records) -> None:
        super().__init__(ReluTrap.Params())
        self.population = population

    def altered(self, state: dict[str, Tensor], candidates: Records, model: FunctionalModel, *, turn: int) -> Any:
        asked = candidates[torch.arange(turn * HIDDEN, min((turn + 1) * HIDDEN, len(candidates)))]
        known = torch.cat([self.population.inputs, asked.inputs])
        places = torch.arange(len(self.population), len(known))
        rows, offsets = trap_rows(known, places, spread=self.params.spread, margin=self.params.margin)
        weight, bias = torch.zeros_like(state["0.weight"]), torch.full_like(state["0.bias"], -self.params.margin)
        weight[: len(asked)], bias[: len(asked)] = rows.float(), offsets.float()
        return {**state, "0.weight": weight, "0.bias": bias}


def named(shared_data: Path, classes: int, trap: ReluTrap = TRAP, *, seed: int = 0) -> tuple[int, int]:
    """Members that score above all 2,000 baskets that nobody holds, and all members.

    Asked about in a random order, so that the round in which a record is asked about says nothing of it.
    """
    shared = shared_model(inputs=169, classes=classes)
    model = FunctionalModel(shared)
    order = torch.randperm(BASKETS, generator=torch.Generator().manual_seed(seed))
    turns = iter(range(TURNS))
    log = played(
        shared_data,
        classes,
        lambda state, asked: trap.altered(state, asked[order], model, turn=next(turns)),
        altered=TURNS,
        seed=seed,
    )
    owner, right = log.owner[order], 0
    for client in range(CLIENTS):
        seen = Rounds(log.rounds[-TURNS:], log.candidates[order], client, log.local)
        scores = trap.run(seen, Knowledge(shared), RunContext()).scores
        others = scores[owner < 0]
        assert len(others) == BASKETS // 2
        right += int((scores[owner == client] > others.max()).sum())
    return right, BASKETS // 2


@pytest.mark.xfail(
    strict=True,
    reason="missed: .676 against .689 at 100 classes, .591 against .599 at 30; the loss that a client leaves, in the "
    "place of its fall, would reach .796 and .648",
)
def test_worsened_rounds_find_more_than_the_loss(shared_data: Path, classes: int) -> None:
    """As written before the figures were seen. What stands in its place is below."""
    found = [areas(shared_data, classes, seed=seed) for seed in range(3)]
    assert sum(active for active, _ in found) > sum(passive for _, passive in found)


def test_worsened_rounds_find_members(shared_data: Path, classes: int) -> None:
    """The least figure of D30-FL, taken after the first look; it shows that the attack works, not that it adds much."""
    active, passive = areas(shared_data, classes, seed=0)
    assert active >= 0.57
    assert passive > 0.5


def test_a_neuron_of_their_own_names_members_without_a_false_positive(shared_data: Path, classes: int) -> None:
    right, members = named(shared_data, classes)
    assert right / members >= 0.95


def test_it_need_not_hold_the_clients_other_records(shared_data: Path, classes: int) -> None:
    """In an audit rows are drawn from all candidates, members among them; the figure does not come from that."""
    trap = FromOthers(baskets(shared_data, classes=classes).population)
    right, members = named(shared_data, classes, trap)
    assert right / members >= 0.95
