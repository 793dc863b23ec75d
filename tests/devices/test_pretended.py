"""The pretended device refuses what CUDA refuses, and computes what the CPU computes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.devices.pretended import DEVICE, Held, playing

REFUSED: dict[str, Callable[[Tensor, Tensor, str], object]] = {
    "noise without a device": lambda x, c, d: x + torch.randn(4, 4),
    "reversed": lambda x, c, d: c - x,
    "product": lambda x, c, d: x @ c,
    "added in place": lambda x, c, d: c.add_(x),
    "number of the device added to the CPU in place": lambda x, c, d: c.add_(x.sum()),
    "number of the device times a CPU tensor": lambda x, c, d: x.sum() * c,
    "index_select": lambda x, c, d: x.index_select(0, torch.arange(2)),
    "gather": lambda x, c, d: x.gather(0, torch.zeros(1, 4, dtype=torch.int64)),
    "scatter": lambda x, c, d: x.scatter(0, torch.zeros(1, 4, dtype=torch.int64), 1.0),
    "index_add": lambda x, c, d: torch.zeros(4, 4).index_add(0, torch.arange(4), x),
    "CPU tensor indexed by the device": lambda x, c, d: c[torch.arange(2, device=d)],
    "CPU values written to the device": lambda x, c, d: x.index_put_((torch.arange(2),), c[:2]),
    "masked_select": lambda x, c, d: x.masked_select(c > 0),
    "where": lambda x, c, d: torch.where(c > 0, x, x),
    "cat": lambda x, c, d: torch.cat([x, c]),
    "stack": lambda x, c, d: torch.stack([x, c]),
    "einsum": lambda x, c, d: torch.einsum("ij,jk->ik", x, c),
    "embedding": lambda x, c, d: F.embedding(torch.arange(2), x),
    "loss": lambda x, c, d: F.cross_entropy(x, torch.arange(4)),
    "equal": lambda x, c, d: torch.equal(x, c),
    "module on the CPU": lambda x, c, d: nn.Linear(4, 2)(x),
    "convolution": lambda x, c, d: F.conv1d(x[None], torch.ones(1, 4, 1)),
    "batch statistics": lambda x, c, d: F.batch_norm(x, torch.zeros(4), torch.ones(4)),
    "attention": lambda x, c, d: F.scaled_dot_product_attention(x[None], c[None], c[None]),
    "numpy": lambda x, c, d: x.numpy(),
    "numpy by the protocol": lambda x, c, d: np.asarray(x),
    "numpy's own function": lambda x, c, d: np.sort(x),
    "generator of the CPU": lambda x, c, d: torch.randn(4, device=d, generator=torch.Generator()),
    "generator of the device": lambda x, c, d: torch.randn(4, generator=torch.Generator(d)),
    "order drawn by the device's generator": lambda x, c, d: torch.randperm(4, generator=torch.Generator(device=d)),
    "noise in place": lambda x, c, d: x.normal_(generator=torch.Generator()),
    "in vmap": lambda x, c, d: torch.func.vmap(lambda row: row * c)(x),
    "gradient": lambda x, c, d: torch.autograd.grad(x.clone().requires_grad_().square().sum(), [c.requires_grad_()]),
    "gradient's weights": lambda x, c, d: x.clone().requires_grad_().square().backward(c),
    "least squares": lambda x, c, d: torch.linalg.solve(x, c),
    "repeat": lambda x, c, d: x.repeat_interleave(torch.ones(4, dtype=torch.int64), dim=0),
    "bincount": lambda x, c, d: torch.bincount(x[0].long().abs(), weights=c[0]),
}

ALLOWED: dict[str, Callable[[Tensor, Tensor, str], Tensor]] = {
    "Python number": lambda x, c, d: x * 2.0 + 1,
    "CPU number": lambda x, c, d: x * c.sum() + c.max(),
    "CPU index": lambda x, c, d: x[torch.arange(2)],
    "CPU mask": lambda x, c, d: x[c > 0],
    "CPU number by a CPU index": lambda x, c, d: x.clone().index_put_((torch.arange(2),), torch.tensor(3.0)),
    "written slice": lambda x, c, d: x.clone().copy_(c),
    "masked fill": lambda x, c, d: x.masked_fill(x > 0, torch.tensor(1.0)),
    "tensor of a list": lambda x, c, d: x + torch.tensor([1.0, 2, 3, 4], device=d),
    "array of numpy": lambda x, c, d: x + torch.as_tensor(np.ones(4, np.float32), device=d),
    "like": lambda x, c, d: torch.zeros_like(x) + x.new_ones(4),
    "own generator": lambda x, c, d: x + torch.randn(4, device=d, generator=torch.Generator(d).manual_seed(1)),
    "in place": lambda x, c, d: x.clone().mul_(2).add_(1),
    "view written to": lambda x, c, d: _written(x),
    "vector times matrix": lambda x, c, d: x[0] @ x,
    "changed in shape in place": lambda x, c, d: x.clone().unsqueeze_(0).squeeze_(0).t_(),
    "sorted": lambda x, c, d: x.sort(dim=1).values,
    "convolution": lambda x, c, d: F.conv1d(x[None], x[:, :, None]),
    "per-record gradients": lambda x, c, d: torch.func.vmap(torch.func.grad(lambda row: row.pow(3).sum()))(x),
    "second derivative": lambda x, c, d: _curvature(x),
    "attention": lambda x, c, d: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "batch norm": lambda x, c, d: nn.BatchNorm1d(4).to(d)(x),
    "einsum": lambda x, c, d: torch.einsum("ij,jk->ik", x, x),
}


def _written(x: Tensor) -> Tensor:
    whole = x.clone()
    whole[1:3].mul_(5)
    return whole


def _curvature(x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(x.pow(3).sum(), x, create_graph=True)
    return torch.autograd.grad(first.square().sum(), x)[0]


def _given() -> Tensor:
    return torch.randn(4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", REFUSED)
def test_a_planted_mixing_raises(device: str, name: str) -> None:
    with pytest.raises((RuntimeError, TypeError), match=r"device|numpy|used in the graph"):
        REFUSED[name](_given().to(device), _given(), device)


@pytest.mark.parametrize("name", ALLOWED)
def test_what_cuda_allows_computes_what_the_cpu_computes(device: str, name: str) -> None:
    found = ALLOWED[name](_given().to(device), _given(), device)
    assert isinstance(found, Held)
    torch.testing.assert_close(found.cpu(), ALLOWED[name](_given(), _given(), "cpu"))


def test_values_come_back_only_when_asked_for(device: str) -> None:
    x = _given().to(device)
    assert type(x.cpu()) is Tensor
    assert x.sum().item() == pytest.approx(_given().sum().item())
    assert x[0].tolist() == _given()[0].tolist()
    assert f"{x.sum():.3f}" == f"{_given().sum():.3f}"


def test_a_module_moves_and_trains(device: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 4))
    own = nn.Sequential(*[*module]).to("cpu")
    losses = []
    for where in ("cpu", device):
        placed = _copied(own).to(where)
        optimiser = torch.optim.Adam(placed.parameters(), lr=0.1)
        for _ in range(3):
            optimiser.zero_grad()
            loss = placed(_given().to(where)).square().mean()
            loss.backward()
            optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def _copied(module: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(module)


def test_outside_a_block_torch_is_as_it_was() -> None:
    before = torch.Generator
    with playing():
        assert torch.Generator is not before
    assert torch.Generator is before
    with pytest.raises(NotImplementedError, match="'Lazy' backend"):
        torch.empty(2, device=DEVICE)
