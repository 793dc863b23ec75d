"""The model as a pure function."""

import pytest
import torch
from opacus import GradSampleModule
from torch import nn
from torch.func import functional_call

from auditor.core.shape import Task
from auditor.learning.errors import LearningError
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import local_training
from auditor.observations.records import Records
from tests.learning.models import Attention, BatchNormNet, cnn, images, mlp, recipe, shared, table


def test_initial_state_follows_from_the_seed_and_leaves_the_global_generator_alone() -> None:
    model = FunctionalModel(shared(mlp, (6,)))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again, other = model.initial_state(1), model.initial_state(1), model.initial_state(2)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_building_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    FunctionalModel(shared(mlp, (6,)))
    assert torch.equal(before, torch.get_rng_state())


def test_gradient_equals_plain_autograd() -> None:
    model, records = FunctionalModel(shared(cnn, (1, 6, 6))), images(5)
    state = model.initial_state(0)
    module = cnn()
    module.load_state_dict(state)
    nn.functional.cross_entropy(module(records.inputs), records.labels).backward()
    found = model.gradient(state, records)
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(found[name], parameter.grad)


def test_per_record_gradients_equal_opacus_and_average_to_the_gradient() -> None:
    model, records = FunctionalModel(shared(cnn, (1, 6, 6))), images(5)
    state = model.initial_state(0)
    found = model.per_record_gradients(state, records)
    module = cnn()
    module.load_state_dict(state)
    wrapped = GradSampleModule(module, loss_reduction="mean")
    nn.functional.cross_entropy(wrapped(records.inputs), records.labels).backward()
    mean = model.gradient(state, records)
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad_sample, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found[name].mean(dim=0), mean[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_chunks_do_not_change_per_record_gradients(chunk: int) -> None:
    model, records = FunctionalModel(shared(mlp, (6,))), table(5)
    state = model.initial_state(0)
    whole, parts = model.per_record_gradients(state, records), model.per_record_gradients(state, records, chunk=chunk)
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name])


def test_no_records_give_empty_per_record_gradients() -> None:
    model = FunctionalModel(shared(mlp, (6,)))
    found = model.per_record_gradients(model.initial_state(0), table(4)[:0])
    assert found["0.weight"].shape == (0, 8, 6)


class DataDependent(nn.Module):
    """Control flow that ``vmap`` cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scale = 2.0 if inputs.sum().item() > 0 else 1.0
        return scale * self.layer(inputs)  # type: ignore[no-any-return]


def test_per_record_gradients_fall_back_to_a_loop() -> None:
    model, records = FunctionalModel(shared(DataDependent, (6,))), table(4)
    state = model.initial_state(0)
    found = model.per_record_gradients(state, records)
    assert model.per_record_by_loop
    for i in range(len(records)):
        alone = model.gradient(state, records[i : i + 1])
        torch.testing.assert_close(found["layer.weight"][i], alone["layer.weight"])


def test_double_backward_matches_a_numerical_derivative() -> None:
    model, records = FunctionalModel(shared(mlp, (6,)), dtype=torch.float64), table(2)
    state = model.initial_state(0)

    def squared_norm(inputs: torch.Tensor) -> torch.Tensor:
        found = model.gradient(state, Records(inputs, records.labels), create_graph=True)
        return torch.stack([g.square().sum() for g in found.values()]).sum()

    inputs = records.inputs.double().requires_grad_()
    assert torch.autograd.gradcheck(squared_norm, (inputs,))


def test_double_backward_through_attention() -> None:
    model = FunctionalModel(shared(Attention, (5,), task=Task.LANGUAGE_MODEL))
    tokens = torch.randint(1, 11, (2, 5), generator=torch.Generator().manual_seed(0))
    state = {n: t.requires_grad_(t.is_floating_point()) for n, t in model.initial_state(0).items()}
    found = model.gradient(state, Records(tokens, tokens), training=True, create_graph=True)
    second = torch.autograd.grad(found["read.weight"].square().sum(), state["embed.weight"])[0]
    assert second.abs().sum() > 0
    assert model.per_record_gradients(state, Records(tokens, tokens))["read.weight"].shape == (2, 11, 8)
    assert not model.per_record_by_loop


def test_batch_norm_in_train_mode_moves_returned_buffers_only() -> None:
    model, records = FunctionalModel(shared(BatchNormNet, (6,))), table(8)
    state = model.initial_state(0)
    kept = {name: tensor.clone() for name, tensor in state.items()}
    outputs, buffers = model.call(state, records.inputs, training=True)
    module = BatchNormNet()
    module.load_state_dict(state)
    torch.testing.assert_close(outputs, module(records.inputs))
    torch.testing.assert_close(buffers["norm.running_mean"], module.norm.running_mean)
    assert int(buffers["norm.num_batches_tracked"]) == 1
    assert all(torch.equal(state[name], kept[name]) for name in kept)


@pytest.mark.parametrize(("batch_norm", "trained"), [("train", True), ("eval", True), ("frozen", False)])
def test_batch_norm_modes(batch_norm: str, trained: bool) -> None:
    model, records = FunctionalModel(shared(BatchNormNet, (6,)), batch_norm=batch_norm), table(8)
    state = model.initial_state(0)
    as_client, as_server = (model.outputs(state, records.inputs, training=flag) for flag in (True, False))
    assert torch.allclose(as_client, as_server) == (batch_norm != "train")
    assert ("norm.weight" in model.parameter_names) == trained
    assert set(model.gradient(state, records, training=True)) == set(model.parameter_names)


def test_evaluation_mode_of_the_shared_model_wins() -> None:
    model, records = FunctionalModel(shared(BatchNormNet, (6,), evaluation_mode=True)), table(8)
    state = model.initial_state(0)
    assert torch.equal(
        model.outputs(state, records.inputs, training=True), model.outputs(state, records.inputs, training=False)
    )


def test_per_record_gradients_of_mixed_records_are_refused() -> None:
    model = FunctionalModel(shared(BatchNormNet, (6,)))
    with pytest.raises(LearningError, match="BatchNorm in train mode mixes"):
        model.per_record_gradients(model.initial_state(0), table(3), training=True)


def test_a_model_without_trainable_parameters_is_refused() -> None:
    def frozen() -> nn.Module:
        return mlp().requires_grad_(False)

    model = FunctionalModel(shared(frozen, (6,)))
    with pytest.raises(LearningError, match="no trainable parameter"):
        model.gradient(model.initial_state(0), table(3))


def test_complete_drops_foreign_tensors_and_names_wrong_ones() -> None:
    model = FunctionalModel(shared(mlp, (6,)))
    state = model.initial_state(0)
    assert set(model.complete({**state, "epoch": torch.zeros(())})) == set(state)
    with pytest.raises(LearningError, match=r"'0.weight' of the weights is missing"):
        model.complete({name: t for name, t in state.items() if name != "0.weight"})
    with pytest.raises(LearningError, match=r"'2.bias' of the weights has shape \(4,\)"):
        model.complete({**state, "2.bias": torch.zeros(4)})


def test_load_and_snapshot_give_the_state_back() -> None:
    model = FunctionalModel(shared(BatchNormNet, (6,)))
    state, records = model.initial_state(5), table(4)
    module = model.load(state)
    torch.testing.assert_close(module(records.inputs), functional_call(BatchNormNet().eval(), state, records.inputs))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.snapshot().items())


def test_a_function_that_always_returns_the_same_module_stays_untouched() -> None:
    one = mlp()
    kept = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    model, records = FunctionalModel(shared(lambda: one, (6,))), table(6)
    first = model.initial_state(0)
    local_training(model, first, records, recipe(), batches=[torch.arange(6)])
    model.outputs(first, records.inputs)
    assert one.training
    assert all(torch.equal(tensor, kept[name]) for name, tensor in one.state_dict().items())
    assert all(torch.equal(tensor, first[name]) for name, tensor in model.initial_state(1).items())


def test_an_exported_program_is_a_model() -> None:
    """It refuses ``train()``; everything else works, per-record gradients included."""
    module, records = mlp(), table(5)
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(module, (torch.randn(4, 6),), dynamic_shapes=({0: batch},))
    model = FunctionalModel(shared(lambda: program.module(), (6,)))
    state = model.initial_state(0)
    torch.testing.assert_close(model.outputs(state, records.inputs, training=True), module(records.inputs))
    found = model.per_record_gradients(state, records, training=True)
    assert not model.per_record_by_loop
    torch.testing.assert_close(found["0.weight"].mean(dim=0), model.gradient(state, records)["0.weight"])
    after = local_training(model, state, records, recipe(), batches=[torch.arange(5)])
    torch.testing.assert_close(
        after["2.bias"], state["2.bias"] - 0.1 * model.gradient(state, records, training=True)["2.bias"]
    )
