"""Which record stood in which local step is found by the matching distance, and only looked for where it matters."""

from dataclasses import replace

import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.gradient_matching import GradientMatching
from auditor.attacks.inversion.replay import Replay
from auditor.attacks.inversion.step_order import MOST, better_order, orders_tried, taken
from auditor.learning.functional import FunctionalModel
from tests.attacks.inversion import cases
from tests.attacks.inversion.test_generative_prior import MODEL, blobs


@pytest.mark.parametrize("count", [3, 4, 6])
def test_the_order_that_fits_is_found(count: int) -> None:
    goal = torch.arange(float(count))
    start = torch.stack([torch.randperm(count, generator=torch.Generator().manual_seed(k)).float() for k in range(5)])

    def distances(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        assert torch.equal(inputs, labels)
        return (inputs - goal).square().sum(1)

    order = torch.arange(count).repeat(5, 1)
    for sweep in range(count):
        now = taken(start, order)
        order = taken(order, better_order(distances, now, now, generator=torch.Generator().manual_seed(sweep)))
    assert torch.equal(taken(start, order), goal.repeat(5, 1))


def test_no_more_orders_than_the_limit() -> None:
    tried: list[int] = []

    def distances(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        tried.append(1)
        return torch.zeros(len(inputs))

    values = torch.zeros(2, 40)
    assert torch.equal(
        better_order(distances, values, values, generator=torch.Generator()), torch.arange(40).repeat(2, 1)
    )
    assert len(tried) == 1 + MOST == 1 + orders_tried(40)


def test_it_matters_only_where_one_client_takes_several_batches() -> None:
    records = blobs(4, 1)
    model = FunctionalModel(MODEL)

    def ordered(batch_size: int, steps: int, *, unroll: bool = True) -> bool:
        local = cases.recipe(algorithm="fedavg", batch_size=batch_size, steps=steps, learning_rate=0.01)
        return Replay(model, cases.fedavg_update(MODEL, records, local), model.parameter_names, unroll).ordered

    assert ordered(1, 4)
    assert ordered(2, 2)
    assert not ordered(4, 1)
    assert not ordered(1, 4, unroll=False)


def test_labels_come_back_in_the_order_of_the_local_steps() -> None:
    records = blobs(4, 3)
    records = replace(records, labels=torch.tensor([7, 2, 9, 4]))
    local = cases.recipe(algorithm="fedavg", batch_size=1, steps=4, learning_rate=0.05)
    attack = GradientMatching(GradientMatching.Params(iterations=80, total_variation=(0.01,)))
    found = attack.run(cases.fedavg_update(MODEL, records, local), cases.known(MODEL), RunContext(seed=4))
    assert found.labels is not None
    assert found.labels.tolist() == [7, 2, 9, 4]
