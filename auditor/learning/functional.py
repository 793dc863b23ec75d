"""The model as a pure function of its state: outputs, losses and gradients."""

import copy
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from auditor.learning.errors import LearningError
from auditor.learning.per_record import PerRecord, evaluate_records, math_attention
from auditor.learning.randomness import seeded
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records


class Evaluation(NamedTuple):
    """Mean loss of a batch, its gradient in the trainable parameters, and the buffers after the forward pass."""

    loss: Tensor
    gradient: dict[str, Tensor]
    buffers: dict[str, Tensor]


class FunctionalModel:
    """A shared model whose parameters and buffers are arguments.

    ``training=True`` means: as clients compute in local training. That is module training mode, except that
    everything is in eval mode where ``shared.evaluation_mode`` says so, and that BatchNorm follows ``batch_norm``:
    ``train`` (batch statistics, running ones updated), ``eval`` (running statistics, affine weights trained),
    ``frozen`` (running statistics, affine weights fixed). ``training=False`` is eval mode throughout.

    No method changes the state it is given.

    Attributes:
        parameter_names: Trainable parameters, in the module's order.
        fixed_names: Parameters that clients do not train (``requires_grad=False``, or frozen BatchNorm).
        buffer_names: Buffers.
    """

    def __init__(
        self,
        shared: SharedModel,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_norm: str = "train",
    ) -> None:
        self.shared = shared
        self.device = device
        self.dtype = dtype
        self.batch_norm = batch_norm
        # A copy: a user's function may return one and the same module each time, which must stay as it is.
        self.module = copy.deepcopy(self._built(0)).to(device=device, dtype=dtype)
        self._norms = [part for part in self.module.modules() if isinstance(part, _BatchNorm)]
        frozen = {id(p) for norm in self._norms for p in norm.parameters()} if batch_norm == "frozen" else set()
        named = dict(self.module.named_parameters())
        self.parameter_names = tuple(n for n, p in named.items() if p.requires_grad and id(p) not in frozen)
        self.fixed_names = tuple(name for name in named if name not in set(self.parameter_names))
        self.buffer_names = tuple(name for name, _ in self.module.named_buffers())
        # Buffers outside state_dict (positions, masks) are part of the function, not of the user's weights.
        persistent = set(self.module.state_dict())
        self._defaults = {n: b.clone() for n, b in self.module.named_buffers() if n not in persistent}
        self._variants: dict[str, FunctionalModel] = {batch_norm: self}
        self.per_record_by_loop = False
        self._mode: bool | None = None
        self._own = [*self.module.named_parameters(), *self.module.named_buffers()]

    # -- state ---------------------------------------------------------------------------------------------------

    def initial_state(self, seed: int) -> dict[str, Tensor]:
        """Freshly initialised parameters and buffers; the same for the same seed."""
        module = self._built(seed)
        return {
            name: tensor.detach()
            .clone()
            .to(self.device, tensor.dtype if not tensor.is_floating_point() else self.dtype)
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]
        }

    def complete(self, state: State) -> dict[str, Tensor]:
        """The tensors of ``state`` that this model uses, on its device and in its precision.

        Raises:
            LearningError: when a parameter is missing or has another shape.
        """
        known = {**self._defaults, **state}
        return {name: self._fitting(name, tensor, known) for name, tensor in self._own}

    def load(self, state: State, *, training: bool = False) -> nn.Module:
        """The model's one scratch module, holding a copy of ``state``; the next ``load`` overwrites it."""
        self.set_mode(training=training)
        with torch.no_grad():
            for name, tensor in self._own:
                tensor.copy_(state[name] if name in state else self._defaults[name])
        return self.module

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of what the scratch module holds now."""
        return {name: tensor.detach().clone() for name, tensor in self._own}

    def with_batch_norm(self, batch_norm: str) -> "FunctionalModel":
        """The same model with another BatchNorm behaviour; built once."""
        if batch_norm not in self._variants:
            other = FunctionalModel(self.shared, device=self.device, dtype=self.dtype, batch_norm=batch_norm)
            other._variants = self._variants
            self._variants[batch_norm] = other
        return self._variants[batch_norm]

    @property
    def mixes_records(self) -> bool:
        """True where a record's output in training depends on the others of its batch (BatchNorm in train mode)."""
        return bool(self._norms) and self.batch_norm == "train" and not self.shared.evaluation_mode

    @property
    def least_batch(self) -> int:
        """Records that a training batch needs: BatchNorm over single vectors has no statistics of one record."""
        vectors = any(isinstance(norm, nn.BatchNorm1d) for norm in self._norms)
        return 2 if vectors and self.mixes_records else 1

    @property
    def drops_out(self) -> bool:
        """True where dropout makes two runs differ by design."""
        dropping = nn.modules.dropout._DropoutNd
        active = any(isinstance(part, dropping) and part.p > 0 for part in self.module.modules())
        return active and not self.shared.evaluation_mode

    # -- evaluation ----------------------------------------------------------------------------------------------

    def outputs(self, state: State, inputs: Tensor, *, training: bool = False) -> Tensor:
        """Raw outputs (logits), shape ``(n, ...)``. Differentiable in state and inputs."""
        return self.call(state, inputs, training=training)[0]

    def call(self, state: State, inputs: Tensor, *, training: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs, and the buffers after the call (BatchNorm statistics move in train mode)."""
        self.set_mode(training=training)
        used = {**self._defaults, **{name: state[name] for name in self._state_names() if name in state}}
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

    # -- gradients -----------------------------------------------------------------------------------------------

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

    @property
    def trainable(self) -> tuple[str, ...]:
        """Names of the trained parameters.

        Raises:
            LearningError: when there is none.
        """
        if not self.parameter_names:
            raise LearningError(
                "The model has no trainable parameter, so no update can be computed.",
                remedy="Set requires_grad=True on the parameters that clients train.",
            )
        return self.parameter_names

    # -- parts ---------------------------------------------------------------------------------------------------

    def _built(self, seed: int) -> nn.Module:
        with seeded(seed, device=self.device):
            return self.shared.build()

    def _state_names(self) -> tuple[str, ...]:
        return (*self.parameter_names, *self.fixed_names, *self.buffer_names)

    def _fitting(self, name: str, own: Tensor, known: State) -> Tensor:
        found = known.get(name)
        if found is None or found.shape != own.shape:
            what = "is missing" if found is None else f"has shape {tuple(found.shape)}"
            raise LearningError(
                f"Tensor '{name}' of the weights {what}; the model has shape {tuple(own.shape)}.",
                remedy="Use weights that were saved from this model.",
            )
        return found.detach().to(device=own.device, dtype=own.dtype)

    def cast(self, values: Tensor) -> Tensor:
        """Floating-point values in the model's precision; token ids and classes as they are."""
        return values.to(self.dtype) if values.is_floating_point() and values.dtype != self.dtype else values

    def set_mode(self, *, training: bool) -> None:
        """Put the module into the mode of clients in training, or of evaluation."""
        if self._mode == training:
            return
        self._mode = training
        try:
            self.module.train(training and not self.shared.evaluation_mode)
        except NotImplementedError:
            return  # a torch.export program is fixed in the mode it was exported in
        if self.batch_norm != "train":
            for norm in self._norms:
                norm.eval()


def _leaf(tensor: Tensor, *, keep: bool) -> Tensor:
    if keep and tensor.requires_grad:
        return tensor
    return tensor.detach().requires_grad_()
