"""Batch-norm statistics that a client sent, as a further thing that candidates must reproduce."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vmap
from torch.nn.modules.batchnorm import _BatchNorm

from auditor.attacks.inversion.evidence import Update
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import State
from auditor.observations.released import ClientUpdate

_TINY = 1e-20


@dataclass(frozen=True)
class BatchStatistics:
    """Mean and variance of the batch at every batch-norm layer, worked out from running statistics.

    A step in train mode moves a running statistic to ``(1 - m) before + m batch`` with the layer's momentum ``m``, so
    both together give the batch's own (Yin et al., 2021, arXiv:2104.07586; Huang et al., 2021, arXiv:2112.00059:
    these statistics do much of the work in published attacks, so they are used only where the client sent them).

    Attributes:
        model: With ``batch_norm`` as the clients have it.
        before: State before the step.
        wanted: By path of the layer, mean and variance in one tensor ``(2, channels)``.
    """

    model: FunctionalModel
    before: State
    wanted: dict[str, Tensor]

    @classmethod
    def seen_in(cls, update: Update, model: FunctionalModel, *, steps: int, device: str) -> "BatchStatistics | None":
        """The statistics in ``update``; None where none were granted, none moved, or several steps mixed them."""
        if not isinstance(update, ClientUpdate) or update.buffers_after is None or steps != 1 or update.local.steps > 1:
            return None
        before = {name: value.detach().to(device) for name, value in update.before.items()}
        wanted = {}
        for path, layer in _layers(model).items():
            names = (f"{path}.running_mean", f"{path}.running_var")
            if layer.momentum is None or not all(name in update.buffers_after and name in before for name in names):
                continue
            old = torch.stack([before[name] for name in names])
            new = torch.stack([update.buffers_after[name].to(device) for name in names])
            if float((new - old).square().sum()) > _TINY:
                wanted[path] = old + (new - old) / layer.momentum
        return cls(model, before, wanted) if wanted else None

    def distance(self, inputs: Tensor, *, batched: bool) -> Tensor:
        """Mean over layers of the squared relative distance of each candidate's statistics. ``(candidates,)``.

        Args:
            inputs: ``(candidates, records, *input_shape)``.
            batched: Whether the model can be run on all candidates at once.
        """
        if batched and len(inputs) > 1:
            result: Tensor = vmap(self._one, randomness="different")(inputs)
            return result
        return torch.stack([self._one(candidate) for candidate in inputs])

    def _one(self, inputs: Tensor) -> Tensor:
        found: dict[str, Tensor] = {}

        def keep(path: str, given: Tensor) -> None:
            axes = [axis for axis in range(given.ndim) if axis != 1]
            found[path] = torch.stack([given.mean(axes), given.var(axes)])

        layers = _layers(self.model)
        hooks = [
            layers[path].register_forward_pre_hook(lambda _m, given, path=path: keep(path, given[0]))
            for path in self.wanted
        ]
        try:
            self.model.outputs(self.before, inputs, training=True)
        finally:
            for hook in hooks:
                hook.remove()
        parts = [(found[p] - goal).square().sum() / goal.square().sum() for p, goal in self.wanted.items()]
        return torch.stack(parts).mean()


def _layers(model: FunctionalModel) -> dict[str, _BatchNorm]:
    return {path: part for path, part in model.module.named_modules() if isinstance(part, _BatchNorm)}
