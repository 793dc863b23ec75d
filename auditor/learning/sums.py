"""Inner product with an observed gradient, and squared norm: all that an angle between gradients needs.

Each pair of sums is one function with a derivative of its own. These tensors are the largest of a step, and autograd's
derivatives of the single products and squares run over them several times more.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from auditor.learning.factored import Outer


def inner_and_energy(own: Tensor | Outer, goal: Tensor) -> tuple[Tensor, Tensor]:
    """Inner product of each candidate's gradient with ``goal``, and its squared norm; both ``(candidates,)``.

    Differentiable once.

    Args:
        own: ``(candidates, *parameter_shape)``, or factors.
        goal: ``parameter_shape``.
    """
    if isinstance(own, Outer) and _factors_pay(own):
        inner, energy = _OfFactors.apply(own.back, own.given, goal)  # type: ignore[no-untyped-call]
    else:
        whole = own.whole if isinstance(own, Outer) else own
        inner, energy = _OfWhole.apply(whole.flatten(1), goal.flatten())  # type: ignore[no-untyped-call]
    return inner, energy


def _factors_pay(own: Outer) -> bool:
    """Whether the factors' Gram matrices are less work than the gradient itself."""
    _, rows, outputs = own.back.shape
    inputs = own.given.shape[2]
    return rows * (inputs + outputs) < inputs * outputs


class _OfWhole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(own, goal)
        return own @ goal, torch.linalg.vector_norm(own, dim=1).square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_inner: Tensor, of_energy: Tensor) -> tuple[Tensor, None]:
        own, goal = ctx.saved_tensors
        return (of_inner[:, None] * goal).addcmul_(own, 2 * of_energy[:, None]), None


class _OfFactors(torch.autograd.Function):
    """The squared norm of a sum of outer products is the inner product of the factors' Gram matrices."""

    @staticmethod
    def forward(ctx: Any, back: Tensor, given: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        of_back, of_given = back @ back.transpose(1, 2), given @ given.transpose(1, 2)
        projected = given @ goal.T
        ctx.save_for_backward(back, given, goal, of_back, of_given, projected)
        return (back * projected).sum((1, 2)), (of_back * of_given).sum((1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_inner: Tensor, of_energy: Tensor) -> tuple[Tensor, Tensor | None, None]:
        back, given, goal, of_back, of_given, projected = ctx.saved_tensors
        inner, energy = of_inner[:, None, None], 2 * of_energy[:, None, None]
        in_back = torch.baddbmm(projected.mul_(inner), of_given.mul_(energy), back)
        if not ctx.needs_input_grad[1]:
            return in_back, None, None
        return in_back, torch.baddbmm((back * inner) @ goal, of_back.mul_(energy), given), None
