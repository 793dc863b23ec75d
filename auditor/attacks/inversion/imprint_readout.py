"""Finding the records of an imprint among the rows of an update, under noise and collisions."""

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from auditor.attacks.inversion.evidence import box
from auditor.attacks.inversion.imprint_block import Bins
from auditor.observations.model import SharedModel

_FIRING = 4.0
_NUMERIC = 1e-5
_UNCONFIRMED = 1e-9


@dataclass(frozen=True)
class Read:
    """Records read from the bins of one or all projections.

    Attributes:
        inputs: ``(k, inputs)``.
        strength: How far each stands out of the noise, ``(k,)``.
        jumps: Bins that held records, ascending.
        blur: Error of a measurement that noise leaves, ``(k,)``.
    """

    inputs: Tensor
    strength: Tensor
    jumps: Tensor
    blur: Tensor


def read_records(weight: Tensor, bias: Tensor, bins: Bins, *, noise: float, model: SharedModel) -> Read:
    """Records that left a jump between neighbouring rows, the surest first.

    Args:
        weight: Gradient of the encoder's weight, ``(rows, inputs)``, all projections one after the other.
        bias: Gradient of its bias, ``(rows,)``.
        bins: What the server fixed.
        noise: Standard deviation of the noise on a coordinate.
        model: For the valid box.
    """
    count = bins.edges.shape[1]
    parts = zip(torch.split(weight.double().cpu(), count), torch.split(bias.double().cpu(), count), strict=True)
    reads = [_read(own, offset, bins, p, noise) for p, (own, offset) in enumerate(parts)]
    found = _valid(_distinct([_confirmed(read, p, reads, bins) for p, read in enumerate(reads)]), model)
    order = torch.argsort(found.strength, descending=True)
    return replace(found, inputs=found.inputs[order], strength=found.strength[order], blur=found.blur[order])


def _read(weight: Tensor, bias: Tensor, bins: Bins, projection: int, noise: float) -> Read:
    """One record for each jump between neighbouring rows of one projection."""
    direction, edges = bins.directions[projection].double(), bins.edges[projection].double()
    joined = torch.cat([weight, bias[:, None]], 1)
    joined = torch.cat([joined, torch.zeros_like(joined[:1])])  # above the last edge nothing fires
    jumps = _jumps(joined, noise)
    runs = list(itertools.pairwise([0, *[int(jump) + 1 for jump in jumps], len(joined)]))
    means = torch.stack([joined[first:last].mean(0) for first, last in runs])
    sizes = torch.tensor([last - first for first, last in runs], dtype=torch.float64)
    steps = means[:-1] - means[1:]
    variance = noise**2 * (1 / sizes[:-1] + 1 / sizes[1:])
    ends = torch.cat([edges, edges[-1:] + (edges[-1] - edges[-2])])
    middle, width = (ends[jumps] + ends[jumps + 1]) / 2, ends[jumps + 1] - ends[jumps]
    factor = _factor(steps, steps[:, :-1] @ direction, middle, width, variance)
    inputs = steps[:, :-1] / torch.where(factor == 0, 1e-30, factor)[:, None]
    strength = steps.norm(dim=1) / (variance * steps.shape[1]).sqrt().clamp_min(_NUMERIC * float(joined.abs().max()))
    measured = inputs @ direction
    blur = 4 * variance.sqrt() / factor.abs().clamp_min(1e-30)
    alone = (measured - middle).abs() <= width * (0.5 + 1e-3) + blur
    return Read(inputs[alone], strength[alone], jumps, blur[alone])


def _confirmed(read: Read, own: int, reads: list[Read], bins: Bins) -> Read:
    """Reads that no other projection confirms are put last.

    A record excites a bin of every projection. The mean of two records that shared a bin lies between them
    elsewhere, mostly in a bin that nothing excited.
    """
    strength = read.strength.clone()
    for other, theirs in enumerate(reads):
        if other == own or not len(read.inputs):
            continue
        edges = bins.edges[other].double()
        measured = read.inputs @ bins.directions[other].double()
        low = torch.searchsorted(edges, measured - read.blur) - 2
        high = torch.searchsorted(edges, measured + read.blur)
        excited = torch.searchsorted(theirs.jumps, high, right=True) > torch.searchsorted(theirs.jumps, low)
        strength = torch.where(excited | (measured < edges[0]), strength, strength * _UNCONFIRMED)
    return replace(read, strength=strength)


def _jumps(joined: Tensor, noise: float) -> Tensor:
    """Rows after which the update changes by more than noise and rounding explain. Ascending indices."""
    squares = (joined[:-1] - joined[1:]).square().sum(1)
    size = joined.shape[1]
    expected = 2 * noise**2 * size
    limit = expected * (1 + _FIRING * (2 / size) ** 0.5)
    rounding = (_NUMERIC * float(joined.norm(dim=1).max())) ** 2
    return (squares > max(limit, rounding)).nonzero().squeeze(1)


def _factor(steps: Tensor, measured: Tensor, middle: Tensor, width: Tensor, variance: Tensor) -> Tensor:
    """The factor of each record: from the bias, and under noise also from the place of its bin.

    The bias estimates it with the noise's variance; measurement over bin centre with that of noise and bin width.
    Both are weighted by their inverse variance.
    """
    bias = steps[:, -1]
    placed = measured / torch.where(middle == 0, 1e-30, middle)
    spread = (variance + bias.square() * width.square() / 12) / middle.square().clamp_min(1e-30)
    share = variance / (variance + spread).clamp_min(1e-300)
    return torch.where(variance > 0, (1 - share) * bias + share * placed, bias)


def _distinct(reads: list[Read]) -> Read:
    """All reads without repeats between projections; the stronger of two alike is kept."""
    inputs, strength = torch.cat([read.inputs for read in reads]), torch.cat([read.strength for read in reads])
    blur = torch.cat([read.blur for read in reads])
    order = torch.argsort(strength, descending=True)
    inputs, strength, blur = inputs[order], strength[order], blur[order]
    kept: list[int] = []
    for i in range(len(inputs)):
        near = [bool((inputs[i] - inputs[k]).norm() < 0.1 * inputs[k].norm()) for k in kept]
        if not any(near):
            kept.append(i)
    return Read(inputs[kept], strength[kept], reads[0].jumps, blur[kept])


def _valid(found: Read, model: SharedModel) -> Read:
    """Reads most of whose values lie in the valid box, moved into it; mixtures mostly do not."""
    low, high = box(model)
    if low is None or high is None or not len(found.inputs):
        return found
    shaped = found.inputs.reshape(-1, *model.shape.input_shape)
    slack = 0.25 * (high - low)
    inside = ((shaped >= low - slack) & (shaped <= high + slack)).flatten(1).double().mean(1) > 0.75
    clamped = torch.maximum(torch.minimum(shaped, high.double()), low.double()).flatten(1)
    return replace(found, inputs=clamped[inside], strength=found.strength[inside], blur=found.blur[inside])
