"""The unknown records as tensors that an optimiser can move: start, decode, keep valid, prior.

Candidates are independent guesses at the same batch; they lie along a leading dimension and are moved together.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.attacks.inversion.evidence import box
from auditor.core.shape import Modality
from auditor.observations.model import Column, SharedModel
from auditor.observations.records import Records

_EPSILON = 1e-8


@dataclass(frozen=True)
class Unknowns:
    """How records are written as free tensors.

    Attributes:
        modality: Decides the prior: total variation over two axes (image), one (time series) or none.
        input_shape: Shape of one record.
        low, high: Valid box, or None.
        columns: For tables; categorical ones are a softmax over free logits.
    """

    modality: Modality
    input_shape: tuple[int, ...]
    low: Tensor | None
    high: Tensor | None
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, model: SharedModel, *, device: str) -> "Unknowns":
        """The unknowns of a model's inputs."""
        low, high = box(model)
        return cls(
            model.modality,
            tuple(model.shape.input_shape),
            None if low is None else low.to(device),
            None if high is None else high.to(device),
            model.preprocessing.columns,
        )

    @property
    def categorical(self) -> tuple[Column, ...]:
        """One-hot columns."""
        return tuple(column for column in self.columns if column.kind == "categorical")

    def start(self, candidates: int, records: int, population: Records | None, *, generator: torch.Generator) -> Tensor:
        """Standard normal noise, in the scale of the population where one is held. ``(candidates, records, ...)``."""
        noise = torch.randn((candidates, records, *self.input_shape), generator=generator)
        if self.categorical or population is None or len(population) < 2 or self.modality is Modality.IMAGE:
            return noise
        inputs = population.inputs.float().cpu()
        return inputs.mean(0) + noise * inputs.std(0)

    def decode(self, free: Tensor) -> Tensor:
        """Model inputs from free tensors; differentiable."""
        if not self.categorical:
            return free
        # Features first: a softmax over few neighbours in memory takes nine times as long as one across rows, and the
        # derivative of a slice would be a tensor of full width where a split has one for all parts.
        sizes, at = list[int](), 0
        for column in sorted(self.categorical, key=lambda column: column.start):
            sizes += [column.start - at, column.stop - column.start]
            at = column.stop
        parts = torch.split(free.movedim(-1, 0).contiguous(), [*sizes, free.shape[-1] - at])
        decoded = torch.cat([part.softmax(0) if i % 2 else part for i, part in enumerate(parts)])
        return decoded.movedim(0, -1).contiguous()

    def harden(self, inputs: Tensor) -> Tensor:
        """Final records: categorical columns become the one-hot of their largest entry."""
        inputs = inputs.clone()
        for column in self.categorical:
            part = inputs[..., column.start : column.stop]
            inputs[..., column.start : column.stop] = torch.nn.functional.one_hot(part.argmax(-1), part.shape[-1])
        return inputs

    def project_(self, free: Tensor) -> None:
        """Move free tensors back into the valid box, in place (not the logits of categorical columns)."""
        if self.low is None or self.high is None:
            return
        keep = {column: free[..., column.start : column.stop].clone() for column in self.categorical}
        free.clamp_(self.low, self.high)
        for column, logits in keep.items():
            free[..., column.start : column.stop] = logits

    def roughness(self, inputs: Tensor) -> Tensor:
        """Mean absolute difference of neighbours (anisotropic total variation) per candidate. ``(candidates,)``."""
        axes = {Modality.IMAGE: (-1, -2), Modality.TIMESERIES: (-1,)}.get(self.modality, ())
        total = inputs.new_zeros(inputs.shape[0])
        for axis in axes:
            if inputs.ndim > 2 - axis - 1 and inputs.shape[axis] > 1:
                total = total + (inputs.diff(dim=axis).abs() + _EPSILON).flatten(1).mean(1)
        return total
