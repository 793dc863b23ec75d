"""What of an update leaves the client: a subset of layers, pruning, top-k, quantisation, in this order."""

import math

import torch
from torch import Tensor

from auditor.config.settings import UpdateSettings
from auditor.simulation.errors import SimulationError


def sent_names(update: UpdateSettings, names: tuple[str, ...]) -> tuple[str, ...]:
    """Parameters that are sent: those of the named layers (``conv1`` means ``conv1.weight`` and ``conv1.bias``).

    Raises:
        SimulationError: for a layer that the model does not have.
    """
    if update.layers == "all":
        return names
    chosen: set[str] = set()
    for layer in update.layers:
        found = {name for name in names if name == layer or name.startswith(layer + ".")}
        if not found:
            layers = sorted({name.rpartition(".")[0] or name for name in names})
            raise SimulationError(
                f"federation.update.layers names '{layer}', which has no trained parameter in the model.",
                remedy=f"Its layers are: {', '.join(layers)}.",
            )
        chosen |= found
    return tuple(name for name in names if name in chosen)


def layers_of(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Parameters by layer, in the order of the model: ``conv1`` holds ``conv1.weight`` and ``conv1.bias``."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        layer = name.rpartition(".")[0] or name
        found[layer] = (*found.get(layer, ()), name)
    return found


def kept_fraction(update: UpdateSettings) -> float:
    """Share of the sent layers' coordinates that are not zeroed."""
    return min(1.0 - (update.prune or 0.0), update.top_k or 1.0)


def compress(values: dict[str, Tensor], update: UpdateSettings) -> dict[str, Tensor]:
    """The compressed update, in dense form.

    1. ``prune``: in each tensor, this fraction of coordinates, the smallest ones, becomes zero.
    2. ``top_k``: over all tensors together, this fraction of coordinates, the largest ones, is kept.
    3. ``quantise_bits``: each tensor is rounded to ``2**bits - 1`` evenly spaced values between minus and plus its
       largest magnitude; one bit sends the sign and the mean magnitude (Bernstein et al., 2018, arXiv:1802.04434).
    """
    if update.prune:
        values = {name: _largest(value, 1.0 - update.prune) for name, value in values.items()}
    if update.top_k is not None and update.top_k < 1.0:
        values = largest(values, update.top_k)
    if update.quantise_bits is not None:
        values = {name: quantise(value, update.quantise_bits) for name, value in values.items()}
    return values


def quantise(value: Tensor, bits: int) -> Tensor:
    """Symmetric uniform quantisation of one tensor; zero stays zero."""
    if bits == 1:
        nonzero = value != 0
        mean = value.abs().sum() / nonzero.sum().clamp(min=1)
        return value.sign() * mean
    steps = 2 ** (bits - 1) - 1
    largest = value.abs().max() if value.numel() else value.new_zeros(())
    scale = torch.where(largest > 0, largest, 1.0) / steps
    rounded: Tensor = (value / scale).round() * scale
    return rounded


def largest(values: dict[str, Tensor], fraction: float) -> dict[str, Tensor]:
    """The largest coordinates over all tensors together; the others are zero."""
    flat = _largest(torch.cat([value.flatten() for value in values.values()]), fraction)
    parts = flat.split([value.numel() for value in values.values()])  # type: ignore[no-untyped-call]
    return {name: part.view_as(value) for (name, value), part in zip(values.items(), parts, strict=True)}


def _largest(value: Tensor, fraction: float) -> Tensor:
    count = math.ceil(fraction * value.numel())
    kept = value.abs().flatten().topk(count).indices
    found = torch.zeros_like(value).flatten()
    return found.index_copy(0, kept, value.flatten()[kept]).view_as(value)
