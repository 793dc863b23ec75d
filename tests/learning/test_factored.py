"""Gradients as factors: equal to autograd's, and refused for models where they would not be."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auditor.learning.factored import FactoredGradients, Outer
from auditor.learning.functional import FunctionalModel
from auditor.learning.sums import inner_and_energy
from auditor.observations.records import Records
from tests.attacks.inversion import cases


class Shared(nn.Module):
    """One layer, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.layer(self.layer(inputs).relu()))


class Around(Shared):
    """A layer whose weight is used past its forward."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(F.linear(self.layer(inputs), self.layer.weight))


class Rows(nn.Module):
    """Each record has several rows, as the positions of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(2, 5, bias=False), nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.layer(inputs.reshape(-1, 3, 2)).tanh().mean(1))


def model_of(build: Callable[[], nn.Module]) -> FunctionalModel:
    return FunctionalModel(cases.shared_model(build, input_shape=(6,), classes=3))


def batches(candidates: int, records: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn((candidates, records, 6), generator=generator)
    return inputs, torch.randint(3, (candidates, records), generator=generator)


def made_for(model: FunctionalModel) -> FactoredGradients | None:
    inputs, labels = batches(1, 4)
    state = model.initial_state(3)
    return FactoredGradients.where_exact(model, state, model.parameter_names, Records(inputs[0], labels[0]))


@pytest.mark.parametrize("build", [cases.mlp(6, 7, 5, classes=3), cases.mlp(6, classes=3), Rows])
@pytest.mark.parametrize("records", [1, 4, 30])
def test_equal_to_autograd(build: Callable[[], nn.Module], records: int) -> None:
    model = model_of(build)
    factored, state = made_for(model), model.initial_state(3)
    assert factored is not None
    inputs, labels = batches(5, records)
    goal = model.initial_state(9)
    for found, wanted in zip(*_both(factored, model, state, (inputs, labels), goal), strict=True):
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-6)


def _both(
    factored: FactoredGradients,
    model: FunctionalModel,
    state: dict[str, Tensor],
    batch: tuple[Tensor, Tensor],
    goal: dict[str, Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """Inner products with ``goal``, squared norms, and how both move with the inputs, in two ways."""
    inputs, labels = batch[0].clone().requires_grad_(), batch[1]
    made = factored(inputs, labels)
    sums = [inner_and_energy(one, goal[name]) for name, one in made.items()]
    inner, energy = sum(inner for inner, _ in sums), sum(energy for _, energy in sums)
    one = [inner, energy, torch.autograd.grad((inner * energy).sum(), inputs)[0]]
    other = batch[0].clone().requires_grad_()
    each = [
        model.gradient(state, Records(x, y), training=True, create_graph=True)
        for x, y in zip(other, labels, strict=True)
    ]
    inner = torch.stack([sum((g[n] * goal[n]).sum() for n in g) for g in each])
    energy = torch.stack([sum(v.square().sum() for v in g.values()) for g in each])
    return one, [inner, energy, torch.autograd.grad((inner * energy).sum(), other)[0]]


@pytest.mark.parametrize(
    "build",
    [
        Shared,
        Around,
        lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)),
        lambda: nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5), nn.Linear(4, 3)),
        lambda: nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)),
    ],
)
def test_refused_where_they_would_be_something_else(build: Callable[[], nn.Module]) -> None:
    assert made_for(model_of(build)) is None


def test_without_gradient_nothing_is_kept() -> None:
    model = model_of(cases.mlp(6, 7, classes=3))
    factored = made_for(model)
    assert factored is not None
    with torch.no_grad():
        made = factored(*batches(2, 3))
    assert not any((m.back if isinstance(m, Outer) else m).requires_grad for m in made.values())
