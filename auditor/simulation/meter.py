"""What the mechanism really did, measured while it ran."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ObservedMechanism:
    """Measured, not declared.

    Attributes:
        noise_std: Root mean square of the noise on the sum of clipped contributions; None where none was added.
        noise_multiplier: The same in units of the clipping norm in force.
        noise_values: How many noise coordinates stand behind them.
        clipped_norm: Largest L2 norm of a contribution after clipping; None without clipping.
        norms_measured: How many contributions stand behind it.
        clipped_share: Share of measured contributions that clipping shortened.
        sampler: How the units were really drawn: ``poisson``, ``shuffled``, ``fixed_size`` or ``full``.
        unit: ``record``, ``client`` or ``none``.
    """

    noise_std: float | None = None
    noise_multiplier: float | None = None
    noise_values: int = 0
    clipped_norm: float | None = None
    norms_measured: int = 0
    clipped_share: float | None = None
    sampler: str = "full"
    unit: str = "none"


class Meter:
    """Gathers noise and norms as they pass."""

    def __init__(self) -> None:
        self._squares = 0.0
        self._scaled_squares = 0.0
        self._values = 0
        self._largest = 0.0
        self._norms = 0
        self._shortened = 0

    def noise(self, tensors: Iterable[Tensor], *, norm: float) -> None:
        """Take in noise that was added to a sum of contributions clipped to ``norm``."""
        parts = list(tensors)
        self.noise_squares(float(total_norm(parts)) ** 2, sum(part.numel() for part in parts), norm=norm)

    def noise_squares(self, squares: float, values: int, *, norm: float) -> None:
        """Take in the sum of squares of so many noise values."""
        self._squares += squares
        self._scaled_squares += squares / norm**2
        self._values += values

    def contribution(self, before: float, after: float) -> None:
        """Take in the norm of one contribution before and after clipping."""
        self._norms += 1
        self._largest = max(self._largest, after)
        self._shortened += after < before * (1 - 1e-4)

    def read(self, *, sampler: str, unit: str) -> ObservedMechanism:
        """Everything so far."""
        values, norms = self._values, self._norms
        return ObservedMechanism(
            noise_std=math.sqrt(self._squares / values) if values else None,
            noise_multiplier=math.sqrt(self._scaled_squares / values) if values else None,
            noise_values=values,
            clipped_norm=self._largest if norms else None,
            norms_measured=norms,
            clipped_share=self._shortened / norms if norms else None,
            sampler=sampler,
            unit=unit,
        )


def total_norm(tensors: Iterable[Tensor]) -> Tensor:
    """L2 norm over all tensors together."""
    found: Tensor = torch.stack([tensor.norm() for tensor in tensors]).norm()
    return found
