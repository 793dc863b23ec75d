"""The model as a pure function of its state: outputs, losses and gradients."""

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call

from auditor.learning.per_record import PerRecord, evaluate_records, math_attention
from auditor.learning.skeleton import Skeleton
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records


class Evaluation(NamedTuple):
    """Mean loss of a batch, its gradient in the trainable parameters, and the buffers after the forward pass."""

    loss: Tensor
    gradient: dict[str, Tensor]
    buffers: dict[str, Tensor]


class FunctionalModel(Skeleton):
    """A shared model whose parameters and buffers are arguments. No method changes the state it is given.

    What ``training=True`` means, and the names of the tensors, see :class:`auditor.learning.skeleton.Skeleton`.
    """

    def __init__(
        self,
        shared: SharedModel,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_norm: str = "train",
    ) -> None:
        super().__init__(shared, device=device, dtype=dtype, batch_norm=batch_norm)
        self.per_record_by_loop = False
        self._variants: dict[str, FunctionalModel] = {batch_norm: self}

    def with_batch_norm(self, batch_norm: str) -> "FunctionalModel":
        """The same model with another BatchNorm behaviour; built once."""
        if batch_norm not in self._variants:
            other = FunctionalModel(self.shared, device=self.device, dtype=self.dtype, batch_norm=batch_norm)
            other._variants = self._variants
            self._variants[batch_norm] = other
        return self._variants[batch_norm]

    def outputs(self, state: State, inputs: Tensor, *, training: bool = False) -> Tensor:
        """Raw outputs (logits), shape ``(n, ...)``. Differentiable in state and inputs."""
        return self.call(state, inputs, training=training)[0]

    def call(self, state: State, inputs: Tensor, *, training: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs, and the buffers after the call (BatchNorm statistics move in train mode)."""
        self.set_mode(training=training)
        used = self.tensors(state)
        if training:
            used |= {name: used[name].clone() for name in self.buffer_names}
        outputs = functional_call(self.module, used, (self.cast(inputs),))
        return outputs, {name: used[name] for name in self.buffer_names}

    def losses(self, state: State, records: Records, *, training: bool = False) -> Tensor:
        """Loss of each record, shape ``(n,)``."""
        return self.loss(self.outputs(state, records.inputs, training=training), records.labels)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The shared loss on outputs already computed; regression targets follow the model's precision."""
        return self.shared.loss(outputs, self.cast(labels))

    def gradient(
        self, state: State, records: Records, *, training: bool = False, create_graph: bool = False
    ) -> dict[str, Tensor]:
        """Gradient of the mean loss in the trainable parameters; see :meth:`evaluate`."""
        return self.evaluate(state, records, training=training, create_graph=create_graph).gradient

    def evaluate(
        self, state: State, records: Records, *, training: bool = False, create_graph: bool = False
    ) -> Evaluation:
        """Mean loss, its gradient in the trainable parameters, and the buffers after the call.

        With ``create_graph`` the gradient can be differentiated again (in the inputs, or in a state that is itself
        the result of earlier steps); attention then uses its math kernel, the only one with a second derivative.
        """
        leaves = {name: _leaf(state[name], keep=create_graph) for name in self.trainable}
        with math_attention() if create_graph else nullcontext():
            outputs, buffers = self.call({**state, **leaves}, records.inputs, training=training)
            mean = self.loss(outputs, records.labels).mean()
            grads = torch.autograd.grad(mean, list(leaves.values()), create_graph=create_graph, materialize_grads=True)
        return Evaluation(mean, dict(zip(leaves, grads, strict=True)), buffers)

    def per_record_gradients(
        self, state: State, records: Records, *, chunk: int | None = None, training: bool = False
    ) -> dict[str, Tensor]:
        """Gradient of each record's loss: by name, shape ``(n, *parameter)``.

        Vectorised with ``vmap``; a model that ``vmap`` cannot handle (data-dependent control flow, opaque custom
        functions) is evaluated record by record.

        Args:
            state: Parameters and buffers.
            records: ``n`` of them; 0 gives empty tensors.
            chunk: At most so many records in memory at once; None = all.
            training: As clients compute.

        Raises:
            LearningError: where BatchNorm mixes the records of a batch, so that no such gradient exists.
        """
        return evaluate_records(self, state, records, chunk=chunk, training=training).gradients

    def per_record_evaluation(
        self, state: State, records: Records, *, chunk: int | None = None, training: bool = False
    ) -> PerRecord:
        """Gradient and loss of each record, from one pass; see :meth:`per_record_gradients`."""
        return evaluate_records(self, state, records, chunk=chunk, training=training)


def _leaf(tensor: Tensor, *, keep: bool) -> Tensor:
    if keep and tensor.requires_grad:
        return tensor
    return tensor.detach().requires_grad_()
