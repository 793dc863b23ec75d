"""What the text attacks say they will cost is what they do, whatever stands behind the update."""

import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.dager import Dager
from auditor.attacks.inversion.text_matching import TextMatching
from auditor.attacks.inversion.token_moves import Moves, improved, most_moves
from auditor.core.shape import Task
from tests.attacks.inversion import cases

MODEL = cases.decoder_model(1000, 32, 2, tokens=12)


@pytest.mark.parametrize(("tokens", "allowed"), [(8, 9), (40, 41), (480, 400)])
def test_a_round_tries_as_many_moves_as_it_says(tokens: int, allowed: int) -> None:
    tried: list[int] = []

    def distances(guesses: torch.Tensor) -> torch.Tensor:
        tried.append(len(guesses))
        return torch.ones(len(guesses))

    moves = Moves(torch.arange(allowed), distances, 3, 0.0, RunContext())
    improved(torch.zeros(1, tokens, dtype=torch.int64), moves)
    assert sum(tried) == 1 + most_moves(tokens), "no move helps, so one round ends the search"


def test_swaps_of_many_tokens_are_a_sample_that_follows_from_the_seed() -> None:
    rounds: list[set[tuple[int, ...]]] = []
    start = torch.arange(60)[None]

    def distances(guesses: torch.Tensor) -> torch.Tensor:
        rounds[-1] |= {tuple((one != start).nonzero()[:, 1].tolist()) for one in guesses}
        return torch.ones(len(guesses))

    for _ in range(2):
        rounds.append(set())
        improved(start, Moves(torch.arange(500), distances, 1, 0.0, RunContext(seed=1)))
    assert rounds[0] == rounds[1], "the same seed, the same swaps"
    assert len(rounds[0]) == 1 + 1024 < 60 * 59 // 2


def test_text_matching_names_the_work_below_which_it_finds_nothing() -> None:
    attack = TextMatching(TextMatching.Params(iterations=100, restarts=4, sweeps=2))
    one = attack.cost(MODEL.shape.model_copy(update={"records_per_update": 1}))
    crowd = attack.cost(MODEL.shape.model_copy(update={"records_per_update": 40}))
    assert one.least == 100 * 5 + 12 * 11 // 2 + 12 * 13
    assert one.gradient_evaluations == 4 * (500 + 2 * (66 + 156))
    assert crowd.least == 500 + 1024
    assert crowd.gradient_evaluations == 4 * (500 + 2 * 1024)


def test_dager_costs_more_the_larger_the_vocabulary() -> None:
    shape = MODEL.shape.model_copy(update={"task": Task.LANGUAGE_MODEL})
    small, large = (
        Dager(Dager.Params()).cost(shape.model_copy(update={"classes": n})).gradient_evaluations for n in (1000, 50_000)
    )
    assert small < 30 < 100 < large
