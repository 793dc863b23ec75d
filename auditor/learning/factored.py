"""Gradients of linear layers kept as their two factors, for many batches at once.

The gradient of a linear layer's weight is a product of what comes back to its outputs and what went into it. To
compare a gradient with another one, the product itself is not needed: an inner product and a norm follow from the
factors (the ghost norm: Goodfellow, 2015, arXiv:1510.01799; Li et al., 2022, arXiv:2110.05679). Where records are few
and layers wide, this is many times less work than the gradient, and all batches are one pass through the model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call

from auditor.learning.functional import FunctionalModel
from auditor.learning.per_record import math_attention
from auditor.observations.model import State
from auditor.observations.records import Records

TOLERANCE = 1e-4
"""Largest difference from autograd, relative to a gradient's largest entry, with which the factors are used."""


@dataclass(frozen=True)
class Outer:
    """Gradients of one weight: for each candidate the sum over rows of ``back`` times ``given``.

    Attributes:
        back: ``(candidates, rows, outputs)``; gradient of the loss in the layer's outputs.
        given: ``(candidates, rows, inputs)``; the layer's inputs.
    """

    back: Tensor
    given: Tensor

    @cached_property
    def whole(self) -> Tensor:
        """The gradients themselves, ``(candidates, outputs, inputs)``."""
        return self.back.transpose(1, 2) @ self.given


Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]


class FactoredGradients:
    """Mean gradients of many batches at one state, differentiable in the batches."""

    def __init__(self, model: FunctionalModel, state: State, names: Sequence[str]) -> None:
        self._model = model
        self._state = {name: tensor.detach() for name, tensor in state.items()}
        self._names = tuple(names)
        self._layers = _linear_layers(model.module)

    @classmethod
    def where_exact(
        cls, model: FunctionalModel, state: State, names: Sequence[str], example: Records
    ) -> "FactoredGradients | None":
        """Factored gradients, or None for a model where they would be something else.

        Every trained parameter must belong to a linear layer, and no record may see another; beyond that, the result
        is compared with autograd's on ``example``, so that layers that are used in ways of their own are noticed.
        """
        made = cls(model, state, names)
        if model.mixes_records or model.drops_out or not set(names) <= made._own:
            return None
        try:
            found = made(example.inputs[None], example.labels[None])
            wanted = model.gradient(made._state, example, training=True)
        except (RuntimeError, KeyError):
            return None
        return made if all(_same(found[name], wanted[name]) for name in names) else None

    def __call__(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor | Outer]:
        """Gradients of the mean loss of each candidate batch.

        Args:
            inputs: ``(candidates, records, ...)``.
            labels: ``(candidates, records, ...)``.
        """
        candidates, records = inputs.shape[:2]
        seen: dict[str, tuple[Tensor, Tensor]] = {}
        hooks = [layer.register_forward_hook(_keep(path, seen)) for path, layer in self._layers.items()]
        try:
            with math_attention():
                total = self._total(inputs.flatten(0, 1), labels.flatten(0, 1))
        finally:
            for hook in hooks:
                hook.remove()
        outputs = [out for _, out in seen.values()]
        backs = torch.autograd.grad(total, outputs, create_graph=torch.is_grad_enabled())
        made: dict[str, Tensor | Outer] = {}
        for (path, (given, _)), back in zip(seen.items(), backs, strict=True):
            rows = back.reshape(candidates, -1, back.shape[-1]) / records
            made[f"{path}.weight"] = Outer(rows, given.reshape(candidates, -1, given.shape[-1]))
            made[f"{path}.bias"] = rows.sum(1)
        return {name: made[name] for name in self._names}

    def _total(self, inputs: Tensor, labels: Tensor) -> Tensor:
        # Outputs must carry a graph even where nothing but them is differentiated.
        with torch.enable_grad():
            model = self._model
            model.set_mode(training=True)
            free = inputs if inputs.requires_grad else inputs.detach().requires_grad_()
            outputs = functional_call(model.module, model.tensors(self._state), (model.cast(free),))
            return model.loss(outputs, labels).sum()

    @cached_property
    def _own(self) -> set[str]:
        return {f"{path}.{name}" for path, layer in self._layers.items() for name, _ in layer.named_parameters()}


def _linear_layers(module: nn.Module) -> dict[str, nn.Linear]:
    return {path: part for path, part in module.named_modules() if type(part) is nn.Linear}


def _keep(path: str, seen: dict[str, tuple[Tensor, Tensor]]) -> Hook:
    def keep(_layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        if path in seen:
            raise RuntimeError(f"{path} is used more than once")
        seen[path] = (given[0], output)

    return keep


def _same(found: Tensor | Outer, wanted: Tensor) -> bool:
    own = (found.whole if isinstance(found, Outer) else found)[0].detach()
    return bool((own - wanted).abs().max() <= TOLERANCE * wanted.abs().max().clamp_min(1e-12))
