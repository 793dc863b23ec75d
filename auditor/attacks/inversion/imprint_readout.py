"""Finding the records of an imprint among the rows of an update, under noise and collisions."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from auditor.attacks.inversion.evidence import box
from auditor.attacks.inversion.imprint_block import Bins
from auditor.observations.model import SharedModel

_FIRING = 4.0
_NUMERIC = 1e-5
_UNCONFIRMED = 1e-9
_BLUR = 4.0
_SAME = 0.1
_COMPARED = 256
_INSIDE = 0.1
_CLOSE = 0.05


@dataclass(frozen=True)
class Read:
    """Records read from the bins of one or all projections.

    Attributes:
        inputs: ``(k, inputs)``.
        strength: How far each stands out of the noise, ``(k,)``.
        held: Bins that held records, ascending.
        blur: Error of a measurement that noise leaves, ``(k,)``.
    """

    inputs: Tensor
    strength: Tensor
    held: Tensor
    blur: Tensor

    @property
    def noise(self) -> Tensor:
        """Standard deviation of the noise on a value of each record, ``(k,)``."""
        return self.blur / _BLUR


def read_records(weight: Tensor, bias: Tensor, bins: Bins, *, noise: float, model: SharedModel) -> Read:
    """Records that left their copy in a row, the surest first.

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
    found = replace(found, strength=torch.where(between(found), found.strength * _UNCONFIRMED, found.strength))
    order = torch.argsort(found.strength, descending=True)
    return replace(found, inputs=found.inputs[order], strength=found.strength[order], blur=found.blur[order])


def _read(weight: Tensor, bias: Tensor, bins: Bins, projection: int, noise: float) -> Read:
    """One record for each row of one projection that holds more than noise."""
    direction, edges = bins.directions[projection].double(), bins.edges[projection].double()
    joined = torch.cat([weight, bias[:, None]], 1)
    held = _held(joined, noise)
    rows = joined[held]
    variance = torch.full((len(rows),), noise**2, dtype=torch.float64)
    ends = torch.cat([edges, edges[-1:] + (edges[-1] - edges[-2])])
    middle, width = (ends[held] + ends[held + 1]) / 2, ends[held + 1] - ends[held]
    factor = _factor(rows, direction, middle, width, variance, bins)
    inputs = rows[:, :-1] / torch.where(factor == 0, 1e-30, factor)[:, None]
    strength = rows.norm(dim=1) / (variance * rows.shape[1]).sqrt().clamp_min(_NUMERIC * float(joined.abs().max()))
    measured = inputs @ direction
    blur = _BLUR * variance.sqrt() / factor.abs().clamp_min(1e-30)
    alone = (measured - middle).abs() <= width * (0.5 + 1e-3) + blur
    return Read(inputs[alone], strength[alone], held, blur[alone])


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
        excited = torch.searchsorted(theirs.held, high, right=True) > torch.searchsorted(theirs.held, low)
        strength = torch.where(excited | (measured < edges[0]), strength, strength * _UNCONFIRMED)
    return replace(read, strength=strength)


def _held(joined: Tensor, noise: float) -> Tensor:
    """Rows with more in them than noise and rounding explain. Ascending indices."""
    size = joined.shape[1]
    limit = noise**2 * size * (1 + _FIRING * (2 / size) ** 0.5)
    rounding = (_NUMERIC * float(joined.norm(dim=1).max())) ** 2
    held: Tensor = joined.square().sum(1) > max(limit, rounding)
    return held.nonzero().squeeze(1)


def _factor(held: Tensor, direction: Tensor, middle: Tensor, width: Tensor, variance: Tensor, bins: Bins) -> Tensor:
    """The factor that each record left: the mean of up to three estimates, each weighted by its inverse variance.

    1. the bias, with the noise's variance; 2. the measurement over the bin's centre, with that of noise and bin
    width; 3. the length of the row over a record's usual length, with the sign of the first.
    """
    bias, rows = held[:, -1], held[:, :-1]
    placed = rows @ direction / torch.where(middle == 0, 1e-30, middle)
    estimates = [bias, placed]
    variances = [variance, (variance + bias.square() * width.square() / 12) / middle.square().clamp_min(1e-30)]
    if bins.length:
        energy = (rows.square().sum(1) - variance * rows.shape[1]).clamp_min(1e-300)
        usual = energy.sqrt() / bins.length
        estimates.append(usual * bias.sign())
        variances.append((usual * bins.length_spread).square() + variance / bins.length**2)
    weights = 1 / torch.stack(variances).clamp_min(1e-300)
    mean = (torch.stack(estimates) * weights).sum(0) / weights.sum(0)
    return torch.where(variance > 0, mean, bias)


def _distinct(reads: list[Read]) -> Read:
    """All reads, those of one record in several projections merged by inverse variance; the strongest first."""
    inputs, strength = torch.cat([read.inputs for read in reads]), torch.cat([read.strength for read in reads])
    blur = torch.cat([read.blur for read in reads])
    error = blur * inputs.shape[1] ** 0.5 / _BLUR
    order = torch.argsort(strength, descending=True)
    kept: list[int] = []
    merged: list[Tensor] = []
    for i in order.tolist():
        reach = [_SAME * inputs[k].norm() + 1.5 * (error[i] ** 2 + error[k] ** 2).sqrt() for k in kept]
        near = [j for j, k in enumerate(kept) if (inputs[i] - inputs[k]).norm() < reach[j]]
        if not near:
            kept.append(i)
            merged.append(inputs[i])
        elif error[i] > 0 and strength[i] > strength[kept[near[0]]] * 1e-3:
            share = error[i] ** 2 / (error[i] ** 2 + error[kept[near[0]]] ** 2)
            merged[near[0]] = share * merged[near[0]] + (1 - share) * inputs[i]
    found = torch.stack(merged) if merged else inputs[:0]
    return Read(found, strength[kept], reads[0].held, blur[kept])


def between(found: Read) -> Tensor:
    """Reads that lie on the line between two others as closely as noise allows: mixtures. ``(k,)`` bool."""
    count, width = min(len(found.inputs), _COMPARED), found.inputs.shape[1]
    mixed = torch.zeros(len(found.inputs), dtype=torch.bool)
    points, noise = found.inputs[:count], found.noise[:count].square()
    apart = torch.cdist(points, points).square()
    pairs = apart + torch.eye(count, dtype=points.dtype)
    for i in range(count):
        own = apart[i]
        share = (own[None] + apart - own[:, None]) / (2 * pairs)  # of the first of the two
        off = own[None] - share.square() * apart
        blurred = 1.5 * width * (noise[i] + share.square() * noise[:, None] + (1 - share).square() * noise[None])
        near = off <= blurred + (_CLOSE * points[i].norm()).square()
        long = apart > 4 * width * (noise[:, None] + noise[None])  # else any two explain any third
        mixed[i] = bool((near & long & (share > _INSIDE) & (share < 1 - _INSIDE)).any())
    return mixed


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
