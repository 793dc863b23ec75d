"""A neuron for each record: right without a mistake where nothing hides it, and blind where noise does."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from auditor.attacks.active.relu_trap import ReluTrap, trap_rows
from auditor.attacks.base import Knowledge, RunContext
from auditor.attacks.membership.rmia import area
from auditor.core.errors import AttackFailed
from auditor.learning.functional import FunctionalModel
from auditor.learning.gates import gated_layer
from auditor.observations.model import SharedModel
from auditor.observations.records import Records
from auditor.observations.released import Rounds
from tests.federated_cases import Federation, federation
from tests.membership_cases import digits, shared_model

ATTACK = ReluTrap(ReluTrap.Params())
MODEL = FunctionalModel(shared_model())
TURNS = 15
"""Turns of 128 neurons that 1,797 records take."""


def mixed(seed: int) -> Tensor:
    """An order of the records asked about in which members and others share the turns."""
    return torch.randperm(1797, generator=torch.Generator().manual_seed(seed + 1000))


def owners(played: Federation, *, seed: int = 0) -> Tensor:
    """The client of each record asked about, -1 for none."""
    return torch.cat([played.owner, torch.full((1797 - len(played.owner),), -1)])[mixed(seed)]


def trapped(*, seed: int = 0, clip: float | None = None, noise: float = 0.0) -> tuple[Federation, Records]:
    """A federation whose last rounds are altered, and all records asked about: 700 members and 1,097 others."""
    population = digits(label_noise=0.3, seed=seed).population
    asked: list[Records] = []

    def alter(state: dict[str, Tensor], candidates: Records) -> dict[str, Tensor]:
        both = torch.cat([candidates.inputs, population.inputs]), torch.cat([candidates.labels, population.labels])
        asked.append(Records(*both)[mixed(seed)])
        return ATTACK.altered(state, asked[0], MODEL, turn=len(asked) - 1)

    played = federation(rounds=20, alter=alter, altered_rounds=TURNS, clip=clip, noise=noise, seed=seed)
    return played, asked[0]


def scores_of(played: Federation, asked: Records, client: int | None) -> tuple[Tensor, Tensor]:
    """Scores of a client's members and of those whom nobody holds."""
    log = played.seen(secure=client is None).rounds[-TURNS:]
    scores = ATTACK.run(Rounds(log, asked, client, played.local), Knowledge(shared_model()), RunContext()).scores
    owner = owners(played)
    return scores[owner >= 0 if client is None else owner == client], scores[owner < 0]


@pytest.fixture(scope="module")
def open_game() -> tuple[Federation, Records]:
    return trapped()


def test_members_are_named_without_a_false_positive_in_a_thousand(open_game: tuple[Federation, Records]) -> None:
    named = []
    for client in range(10):
        members, others = scores_of(*open_game, client)
        assert len(others) == 1097
        named.append((members > others.max()).double().mean())
    assert torch.stack(named).mean() >= 0.95


def test_secure_aggregation_does_not_help(open_game: tuple[Federation, Records]) -> None:
    members, others = scores_of(*open_game, None)
    assert (members > others.max()).double().mean() >= 0.9


def test_a_client_without_the_records_gives_nothing_away(open_game: tuple[Federation, Records]) -> None:
    """Asked about the records of another client, members score as those whom nobody holds."""
    played, asked = open_game
    log = played.seen().rounds[-TURNS:]
    scores = ATTACK.run(Rounds(log, asked, 3, played.local), Knowledge(shared_model()), RunContext()).scores
    owner = owners(played)
    theirs, nobodys = scores[owner == 7], scores[owner < 0]
    assert 0.4 <= area(torch.cat([theirs, nobodys]), torch.arange(len(theirs) + len(nobodys)) < len(theirs)) <= 0.6
    assert (theirs > nobodys.max()).sum() == 0


def test_clipping_and_noise_stop_it() -> None:
    members, others = scores_of(*trapped(clip=1.0, noise=0.1), 0)
    truth = torch.arange(len(members) + len(others)) < len(members)
    assert area(torch.cat([members, others]), truth) <= 0.62


def test_a_row_fires_for_its_own_record(open_game: tuple[Federation, Records]) -> None:
    asked = torch.arange(128, 256)
    inputs = open_game[1].inputs.double()
    rows, offsets = trap_rows(inputs, asked, spread=4.0, margin=2.0)
    given = inputs @ rows.T + offsets
    assert given[asked, torch.arange(128)].sub(2.0).abs().max() < 1e-6
    assert (given > 0).sum(dim=0).double().mean() < 2
    assert given.std(dim=0).sub(4.0).abs().max() < 0.01


def test_more_inputs_than_records_are_solved_the_other_way() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 300, generator=generator)
    rows, offsets = trap_rows(features, torch.arange(40), spread=4.0, margin=2.0)
    given = features.double() @ rows.T + offsets
    assert (given > 0).equal(torch.eye(40, dtype=torch.bool))


def test_a_turn_asks_about_as_many_records_as_there_are_neurons(open_game: tuple[Federation, Records]) -> None:
    played, asked = open_game
    view = played.rounds[-1]
    found = ATTACK.figure(view.before, [view.aggregate], asked, MODEL, turn=TURNS - 1)
    assert found.isnan().logical_not().nonzero()[:, 1].tolist() == list(range(14 * 128, 1797))


LAYERS: list[tuple[Callable[[], nn.Module], str | None]] = [
    (lambda: nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10)), "0"),
    (lambda: nn.Sequential(nn.Linear(64, 8), nn.ReLU(inplace=True), nn.Linear(8, 10)), "0"),
    (lambda: nn.Sequential(nn.Linear(64, 8), nn.GELU(), nn.Linear(8, 10)), "0"),
    (lambda: nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10)), "0"),
    (lambda: nn.Sequential(nn.Linear(64, 8), nn.LeakyReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 10)), "2"),
    (lambda: nn.Sequential(nn.Linear(64, 8, bias=False), nn.ReLU(), nn.Linear(8, 10)), None),
    (lambda: nn.Linear(64, 10), None),
    (lambda: nn.Sequential(nn.Linear(64, 8), nn.LeakyReLU(), nn.Linear(8, 10)), None),
]


@pytest.mark.parametrize(("build", "layer"), LAYERS)
def test_the_layer_that_falls_silent_is_found(build: Callable[[], nn.Module], layer: str | None) -> None:
    module = build().train()
    assert gated_layer(module, torch.rand(3, 64)) == layer
    assert module.training


def test_features_behind_convolutions_can_be_trapped_too() -> None:
    convolution = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())
    module = nn.Sequential(convolution, nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 10))
    assert gated_layer(module, torch.rand(3, 1, 8, 8)) == "1"


def test_a_model_without_such_a_layer_is_refused_in_words() -> None:
    plain = shared_model()
    model = FunctionalModel(SharedModel(build=lambda: nn.Linear(64, 10), loss=plain.loss, shape=plain.shape))
    with pytest.raises(AttackFailed, match="falls silent"):
        ATTACK.altered(model.initial_state(0), digits().candidates, model, turn=0)
