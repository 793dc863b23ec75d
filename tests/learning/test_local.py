"""Local training against ``torch.optim`` and closed forms."""

import pytest
import torch
from torch import nn

from auditor.learning.functional import FunctionalModel
from auditor.learning.local import batch_order, local_training, train_locally
from auditor.observations.records import Records
from tests.learning.models import BatchNormNet, mlp, recipe, shared, table


def _by_torch(state: dict[str, torch.Tensor], records: Records, batches: list[torch.Tensor], opt: str, momentum: float):
    module = mlp()
    module.load_state_dict(state)
    optimiser: torch.optim.Optimizer = (
        torch.optim.Adam(module.parameters(), lr=0.1)
        if opt == "adam"
        else torch.optim.SGD(module.parameters(), lr=0.1, momentum=momentum)
    )
    for batch in batches:
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(records.inputs[batch]), records.labels[batch]).backward()
        optimiser.step()
    return module.state_dict()


@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0)])
def test_equals_torch_optim(optimizer: str, momentum: float, differentiable: bool) -> None:
    model, records = FunctionalModel(shared(mlp, (6,))), table(11)
    local = recipe(optimizer=optimizer, momentum=momentum, epochs=3)
    batches, state = batch_order(11, local, 4), model.initial_state(0)
    found = local_training(model, state, records, local, batches=batches, differentiable=differentiable)
    expected = _by_torch(state, records, batches, optimizer, momentum)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


def test_one_step_moves_by_learning_rate_times_gradient() -> None:
    model, records = FunctionalModel(shared(mlp, (6,))), table(4)
    state = model.initial_state(0)
    after = local_training(model, state, records, recipe(learning_rate=0.3), batches=[torch.arange(4)])
    gradient = model.gradient(state, records)
    for name in gradient:
        torch.testing.assert_close(after[name], state[name] - 0.3 * gradient[name])


def test_proximal_term_pulls_back_by_the_closed_form() -> None:
    model, records = FunctionalModel(shared(mlp, (6,))), table(4)
    state, local, mu = model.initial_state(0), recipe(learning_rate=0.1), 0.7
    one = local_training(model, state, records, local, batches=[torch.arange(4)])
    two = local_training(model, one, records, local, batches=[torch.arange(4)])
    found = local_training(model, state, records, recipe(learning_rate=0.1, proximal=mu), batches=[torch.arange(4)] * 2)
    for name in model.parameter_names:
        torch.testing.assert_close(found[name], two[name] - 0.1 * mu * (one[name] - state[name]))


def test_a_large_proximal_term_keeps_the_model_nearer() -> None:
    model, records = FunctionalModel(shared(mlp, (6,))), table(12)
    state = model.initial_state(0)
    batches = batch_order(12, recipe(epochs=5), 0)
    moved = [
        sum(
            float((after[name] - state[name]).norm())
            for after in [local_training(model, state, records, recipe(proximal=mu), batches=batches)]
            for name in model.parameter_names
        )
        for mu in (0.0, 1.0, 5.0)
    ]
    assert moved[0] > moved[1] > moved[2]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_unrolled_training_is_differentiable_in_the_inputs(optimizer: str) -> None:
    model, records = FunctionalModel(shared(mlp, (6,)), dtype=torch.float64), table(4)
    state, local = model.initial_state(0), recipe(optimizer=optimizer, momentum=0.5 if optimizer == "sgd" else 0.0)
    batches = [torch.tensor([0, 1]), torch.tensor([2, 3])]

    def movement(inputs: torch.Tensor) -> torch.Tensor:
        after = local_training(
            model, state, Records(inputs, records.labels), local, batches=batches, differentiable=True
        )
        return (after["0.weight"] - state["0.weight"]).sum() + after["2.bias"].square().sum()

    assert torch.autograd.gradcheck(movement, (records.inputs.double().requires_grad_(),), atol=1e-4)


def test_batches_cover_each_record_once_an_epoch() -> None:
    order = batch_order(10, recipe(epochs=3, batch_size=4), 0)
    assert [len(batch) for batch in order] == [4, 4, 2] * 3
    for epoch in range(3):
        assert sorted(torch.cat(order[3 * epoch : 3 * epoch + 3]).tolist()) == list(range(10))
    assert not torch.equal(torch.cat(order[:3]), torch.cat(order[3:6]))


def test_batch_order_edges() -> None:
    assert batch_order(0, recipe(), 0) == []
    assert [len(b) for b in batch_order(3, recipe(batch_size=16, epochs=1), 0)] == [3]
    assert [len(b) for b in batch_order(30, recipe(algorithm="fedsgd", batch_size=16, epochs=5), 0)] == [16]
    assert all(map(torch.equal, batch_order(9, recipe(), 7), batch_order(9, recipe(), 7)))
    assert not torch.equal(torch.cat(batch_order(9, recipe(), 7)), torch.cat(batch_order(9, recipe(), 8)))


def test_no_batches_leave_the_state_as_it_was() -> None:
    model = FunctionalModel(shared(mlp, (6,)))
    state = model.initial_state(0)
    after = train_locally(model, state, table(4), recipe(), batches=[torch.tensor([], dtype=torch.int64)])
    assert all(torch.equal(after.state[name], state[name]) for name in state)
    assert after.losses.shape == (0,)


@pytest.mark.parametrize("batch_norm", ["train", "eval", "frozen"])
def test_in_place_and_unrolled_agree_with_batch_norm(batch_norm: str) -> None:
    model, records, local = FunctionalModel(shared(BatchNormNet, (6,))), table(8), recipe(batch_norm=batch_norm)
    state, batches = model.initial_state(0), batch_order(8, local, 0)
    quick = local_training(model, state, records, local, batches=batches)
    unrolled = local_training(model, state, records, local, batches=batches, differentiable=True)
    for name in state:
        torch.testing.assert_close(quick[name], unrolled[name], rtol=1e-4, atol=1e-6)
    assert torch.equal(quick["norm.weight"], state["norm.weight"]) == (batch_norm == "frozen")
    assert torch.equal(quick["norm.running_mean"], state["norm.running_mean"]) == (batch_norm != "train")


def test_dropout_follows_the_seed() -> None:
    def dropping() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))

    model, records = FunctionalModel(shared(dropping, (6,))), table(8)
    state, batches = model.initial_state(0), [torch.arange(8)]
    before = torch.get_rng_state()
    one, again, other = (
        local_training(model, state, records, recipe(), batches=batches, seed=seed)["0.weight"] for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_batch_of_one_record_is_left_out_where_batch_norm_needs_two() -> None:
    model, records = FunctionalModel(shared(BatchNormNet, (6,))), table(9)
    state, batches = model.initial_state(0), [torch.arange(4), torch.tensor([8]), torch.arange(4, 8)]
    for differentiable in (False, True):
        found = train_locally(model, state, records, recipe(), batches=batches, differentiable=differentiable)
        without = train_locally(model, state, records, recipe(), batches=[batches[0], batches[2]])
        assert len(found.losses) == 2
        torch.testing.assert_close(found.state["first.weight"], without.state["first.weight"])
    assert len(train_locally(model, state, records, recipe(batch_norm="eval"), batches=batches).losses) == 3
