"""The model as protocol participants know it: architecture, loss and preprocessing, never data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from auditor.core.shape import Modality, TargetShape, Task

State = Mapping[str, Tensor]
"""Parameters and buffers by name, as in ``nn.Module.state_dict()``."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs, labels) -> loss of each record, shape ``(n,)``."""


@dataclass(frozen=True)
class Column:
    """One column of a table: where it sits in the encoded input and how to read it back.

    Attributes:
        name: Column name.
        start, stop: Its slice of the encoded input vector.
        kind: ``continuous`` or ``categorical`` (one-hot over the slice).
        scale: Standard deviation in model units times this = natural units (continuous only).
        offset: Added after scaling (continuous only).
    """

    name: str
    start: int
    stop: int
    kind: str
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Preprocessing:
    """How records became inputs; public knowledge of the federation.

    Attributes:
        mean, std: Per channel; inputs = (value in [0, 1] - mean) / std. Empty where not used.
        low, high: Box of valid model inputs, one per channel or feature, or empty if unknown.
        columns: For tables.
        vocabulary: Number of token ids, for text; 0 otherwise.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    columns: tuple[Column, ...] = ()
    vocabulary: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class SharedModel:
    """Architecture, loss and preprocessing that every participant of the federation knows.

    Attributes:
        build: Returns a fresh ``nn.Module``; call under a seeded generator for initial weights.
        loss: Per-record loss.
        shape: Sizes and traits.
        preprocessing: How records became inputs.
        evaluation_mode: True where clients compute with BatchNorm/Dropout in eval mode.
    """

    build: Callable[[], nn.Module]
    loss: Loss
    shape: TargetShape
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    evaluation_mode: bool = False

    @property
    def modality(self) -> Modality:
        return self.shape.modality

    @property
    def task(self) -> Task:
        return self.shape.task


@dataclass(frozen=True)
class GivenPrior:
    """A decoder of records that somebody trained elsewhere, as an adversary may have one.

    Attributes:
        build: Returns the decoder: standard normal latents ``(n, latent)`` to model inputs ``(n, *input_shape)``.
        latent: Size of a latent.
        name: As written in the settings.
        sha256: Of the file that holds or defines it.
    """

    build: Callable[[], nn.Module]
    latent: int
    name: str
    sha256: str


@dataclass(frozen=True)
class LocalTraining:
    """What a client does in a round; public knowledge of the federation.

    Attributes:
        algorithm: ``fedsgd`` (one gradient of one batch), ``fedavg`` or ``fedprox``.
        epochs, batch_size, optimizer, learning_rate, momentum, proximal: as in ``audit.yaml``.
        steps: Local optimiser steps in one round (given the client's number of records).
        batch_norm: ``train``, ``eval`` or ``frozen``.
    """

    algorithm: str
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    momentum: float
    proximal: float
    steps: int
    batch_norm: str


@dataclass(frozen=True)
class Privatisation:
    """What the mechanism did to an observation before the adversary saw it; public knowledge.

    Attributes:
        clipping_norm: Bound on the L2 norm of what ``clipped`` names; None = no clipping.
        clipped: ``record`` (each per-record gradient), ``client`` (the client's update) or ``none``.
        noise_std: Standard deviation of the Gaussian noise on each coordinate of the observed tensor
            (already divided like the tensor itself); 0 = none visible.
        kept_fraction: Share of coordinates kept (top-k, pruning).
        quantise_bits: Bits per coordinate, or None.
    """

    clipping_norm: float | None = None
    clipped: str = "none"
    noise_std: float = 0.0
    kept_fraction: float = 1.0
    quantise_bits: int | None = None
