"""Optimisers as pure functions; elementwise, so that a stack of models is stepped like one."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # the defaults of torch.optim.Adam


class Memory(NamedTuple):
    """What an optimiser keeps between steps. Empty tuples where it keeps nothing."""

    first: tuple[Tensor, ...] = ()
    second: tuple[Tensor, ...] = ()
    steps: int = 0


class Stepped(NamedTuple):
    """Parameters and memory after one step."""

    parameters: tuple[Tensor, ...]
    memory: Memory


class Optimiser(NamedTuple):
    """Plain or heavy-ball SGD, or Adam with torch's defaults; equal to ``torch.optim`` step by step."""

    kind: str
    learning_rate: float
    momentum: float = 0.0

    def start(self, parameters: Sequence[Tensor]) -> Memory:
        """The memory before the first step."""
        zeros = tuple(torch.zeros_like(p) for p in parameters)
        if self.kind == "adam":
            return Memory(zeros, tuple(torch.zeros_like(p) for p in parameters))
        return Memory(zeros) if self.momentum else Memory()

    def step(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], memory: Memory) -> Stepped:
        """One step; differentiable in parameters and gradients."""
        if self.kind == "adam":
            return self._adam(parameters, gradients, memory)
        first = memory.first
        if self.momentum:
            first = tuple(self.momentum * m + g for m, g in zip(first, gradients, strict=True))
            gradients = first
        moved = tuple(p - self.learning_rate * g for p, g in zip(parameters, gradients, strict=True))
        return Stepped(moved, Memory(first, (), memory.steps + 1))

    def _adam(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], memory: Memory) -> Stepped:
        """Kingma and Ba, 2015, arXiv:1412.6980, algorithm 1."""
        count = memory.steps + 1
        first = tuple(torch.lerp(m, g, 1 - _BETA1) for m, g in zip(memory.first, gradients, strict=True))
        second = tuple(_BETA2 * v + (1 - _BETA2) * g.square() for v, g in zip(memory.second, gradients, strict=True))
        rate = self.learning_rate / (1 - _BETA1**count)
        scale = (1 - _BETA2**count) ** 0.5
        moved = tuple(
            p - rate * m / (_root(v) / scale + _EPSILON) for p, m, v in zip(parameters, first, second, strict=True)
        )
        return Stepped(moved, Memory(first, second, count))


def _root(values: Tensor) -> Tensor:
    # The square root has no derivative at 0, which an unrolled attack meets for every unused weight.
    return torch.where(values > 0, torch.where(values > 0, values, 1.0).sqrt(), 0.0)
