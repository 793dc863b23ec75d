"""What a client would have sent, had it held the candidate records; differentiable in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from auditor.attacks.inversion.evidence import Update, clients, step_weight
from auditor.learning.factored import FactoredGradients, Outer
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import State
from auditor.observations.records import Records

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Replay:
    """The client's computation on candidate records.

    Attributes:
        model: The shared model as a function, with the BatchNorm behaviour of the recipe.
        seen: The update whose making is replayed; its recipe, clipping and state are public.
        names: Parameters that the update covers.
        unroll: True to follow each local step; False to take one gradient at the state before.
        batched: True to run all candidates as one tensor program.
        factored: Gives the gradients of linear layers as factors; None where the model or the recipe forbids it.
    """

    model: FunctionalModel
    seen: Update
    names: tuple[str, ...]
    unroll: bool
    batched: bool = True
    factored: FactoredGradients | None = None

    @property
    def ordered(self) -> bool:
        """True where it matters which record stands where: records of one client meet the model in several batches."""
        return self.unroll and self.seen.records > clients(self.seen) * self.seen.local.batch_size

    def with_factors(self, example: Records) -> "Replay":
        """The same with factored gradients, where they are exact for this model and recipe; tried on ``example``."""
        recipe = self.seen.privatisation
        if self.unroll or (recipe.clipped == "record" and recipe.clipping_norm):
            return self
        return replace(self, factored=FactoredGradients.where_exact(self.model, self.seen.before, self.names, example))

    def updates(self, inputs: Tensor, labels: Tensor) -> Mapping[str, Tensor | Outer]:
        """What each candidate would have given, as mean gradients or, with :attr:`factored`, their factors.

        Args:
            inputs: ``(candidates, records, *input_shape)``.
            labels: ``(candidates, records, ...)``.
        """
        if self.factored is not None:
            return self.factored(inputs, labels)
        return self.whole_updates(inputs, labels)

    def whole_updates(self, inputs: Tensor, labels: Tensor) -> Gradients:
        """The same, always as tensors ``(candidates, *parameter_shape)``."""
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no double backward
            if self.batched and inputs.shape[0] > 1:
                return vmap(self._update, randomness="different")(inputs, labels)
            made = [self._update(one, label) for one, label in zip(inputs, labels, strict=True)]
        return {name: torch.stack([each[name] for each in made]) for name in self.names}

    def _update(self, inputs: Tensor, labels: Tensor) -> Gradients:
        shares = clients(self.seen)
        if not self.unroll or shares == 1:
            return self._client(inputs, labels)
        parts = [
            self._client(one, label) for one, label in zip(inputs.chunk(shares), labels.chunk(shares), strict=True)
        ]
        sizes = [len(chunk) / len(inputs) for chunk in inputs.chunk(shares)]
        return {
            name: torch.stack([size * part[name] for size, part in zip(sizes, parts, strict=True)]).sum(0)
            for name in self.names
        }

    def _client(self, inputs: Tensor, labels: Tensor) -> Gradients:
        if not self.unroll:
            return self._gradient(self.seen.before, inputs, labels)
        return self._local_steps(inputs, labels)

    def _gradient(self, state: State, inputs: Tensor, labels: Tensor) -> Gradients:
        if self.seen.privatisation.clipped == "record" and self.seen.privatisation.clipping_norm:
            return self._clipped(state, inputs, labels, self.seen.privatisation.clipping_norm)

        def mean_loss(own: Gradients) -> Tensor:
            return self._losses(state, own, inputs, labels).mean()

        gradient: Callable[..., Gradients] = grad(mean_loss)
        return gradient({name: state[name] for name in self.names})

    def _clipped(self, state: State, inputs: Tensor, labels: Tensor, norm: float) -> Gradients:
        """Mean of per-record gradients, each scaled to a norm of at most ``norm``."""
        own = {name: state[name] for name in self.names}

        def one(record: Tensor, label: Tensor) -> Gradients:
            def loss(parameters: Gradients) -> Tensor:
                return self._losses(state, parameters, record[None], label[None]).mean()

            result: Gradients = grad(loss)(own)
            return result

        each: Gradients = vmap(one)(inputs, labels)
        squares = torch.stack([value.flatten(1).square().sum(1) for value in each.values()])
        factor = (norm / squares.sum(0).clamp_min(1e-12).sqrt()).clamp_max(1.0)
        return {name: (value * factor.reshape(-1, *([1] * (value.ndim - 1)))).mean(0) for name, value in each.items()}

    def _losses(self, state: State, own: Gradients, inputs: Tensor, labels: Tensor) -> Tensor:
        return self.model.losses({**state, **own}, Records(inputs, labels), training=True)

    def _local_steps(self, inputs: Tensor, labels: Tensor) -> Gradients:
        """Unrolled local training (Geiping et al., 2020, section 5); every epoch in the same order.

        The order of records within an epoch is free: a candidate's rows have no order of their own.
        """
        local = self.seen.local
        start = {name: self.seen.before[name] for name in self.names}
        own, velocity = dict(start), {name: torch.zeros_like(value) for name, value in start.items()}
        batches = list(zip(torch.split(inputs, local.batch_size), torch.split(labels, local.batch_size), strict=True))
        for step in range(local.steps):
            given, label = batches[step % len(batches)]
            slope = self._gradient({**self.seen.before, **own}, given, label)
            if local.proximal:
                slope = {name: slope[name] + local.proximal * (own[name] - start[name]) for name in own}
            velocity = {name: local.momentum * velocity[name] + slope[name] for name in own}
            own = {name: own[name] - local.learning_rate * velocity[name] for name in own}
        weight = step_weight(local)
        return {name: (start[name] - own[name]) / weight for name in own}
