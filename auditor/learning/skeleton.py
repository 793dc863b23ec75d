"""The module behind a model: its parts by name, its modes, and states in and out of it."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from auditor.learning.errors import LearningError
from auditor.learning.randomness import seeded
from auditor.observations.model import SharedModel, State


class Skeleton:
    """One module of a shared model, of which only the architecture and the mode count; states come from outside.

    ``training=True`` means: as clients compute in local training. That is module training mode, except that
    everything is in eval mode where ``shared.evaluation_mode`` says so, and that BatchNorm follows ``batch_norm``:
    ``train`` (batch statistics, running ones updated), ``eval`` (running statistics, affine weights trained),
    ``frozen`` (running statistics, affine weights fixed). ``training=False`` is eval mode throughout.

    Attributes:
        module: Overwritten by :meth:`load`.
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
        self._mode: bool | None = None
        self._own = [*self.module.named_parameters(), *self.module.named_buffers()]

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

    def tensors(self, state: State) -> dict[str, Tensor]:
        """The tensors of ``state`` that the module uses, as they are.

        Raises:
            LearningError: when one is missing.
        """
        known = {**self._defaults, **state}
        try:
            return {name: known[name] for name, _ in self._own}
        except KeyError as missing:
            raise self._unfit(missing.args[0], "is missing") from None

    def load(self, state: State, *, training: bool = False) -> nn.Module:
        """The model's one scratch module, holding a copy of ``state``; the next ``load`` overwrites it."""
        self.set_mode(training=training)
        with torch.no_grad():
            for (_, own), given in zip(self._own, self.tensors(state).values(), strict=True):
                own.copy_(given)
        return self.module

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of what the scratch module holds now."""
        return {name: tensor.detach().clone() for name, tensor in self._own}

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

    def _built(self, seed: int) -> nn.Module:
        with seeded(seed, device=self.device):
            return self.shared.build()

    def _fitting(self, name: str, own: Tensor, known: State) -> Tensor:
        found = known.get(name)
        if found is None or found.shape != own.shape:
            raise self._unfit(name, "is missing" if found is None else f"has shape {tuple(found.shape)}")
        return found.detach().to(device=own.device, dtype=own.dtype)

    def _unfit(self, name: str, what: str) -> LearningError:
        own = dict(self._own)[name]
        return LearningError(
            f"Tensor '{name}' of the weights {what}; the model has shape {tuple(own.shape)}.",
            remedy="Use weights that were saved from this model.",
        )

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
