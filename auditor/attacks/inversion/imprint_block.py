"""The layer that a malicious server puts beside a model to copy records into the update."""

from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from torch import Tensor, nn

from auditor.attacks.inversion.evidence import box
from auditor.observations.model import SharedModel
from auditor.observations.records import Records


@dataclass(frozen=True)
class Bins:
    """What the server fixed and needs again to read the update.

    Attributes:
        directions: Measurement vectors of unit length, ``(projections, inputs)``.
        edges: Lower edges of the bins on each direction, ascending, ``(projections, bins)``.
        length: Mean length of a record, or None where no other records are held.
        length_spread: Its standard deviation over the mean.
    """

    directions: Tensor
    edges: Tensor
    length: float | None = None
    length_spread: float = 0.0


class ImprintBlock(nn.Module):
    """``decoder(bins(encoder(x)))``: each encoder row has a gradient only where the measurement of x is in its bin.

    The sparse form of the block of Fowl et al., 2022, arXiv:2110.13057: a hard-tanh in place of the ReLU, flat outside
    a row's bin. A record leaves its copy in one row of each projection and nowhere else, so that under clipping the
    whole bound is spent on copies. Where every row below a record fires instead, the bound is spent on sums of
    records, and noise hides their differences sooner (16 pictures, clipping norm 1, noise 1e-4: 44 dB, not 31 dB).

    All columns of the decoder are equal, so that the factor that a record leaves does not depend on its bin. The
    block adds to the outputs, with opposite sign for even and odd classes: at a model that knows nothing yet, every
    record then leaves a factor of the same size. The encoder is written small and the decoder large: that changes
    nothing in what the block computes, but the encoder's gradient then outweighs all others, and clipping shrinks the
    others.

    Args:
        bins: Directions and edges.
        outputs: Outputs of the model.
        gain: How strongly the block disturbs the outputs.
        scale: Length of an encoder row; the decoder's entries are ``gain / scale``.
    """

    def __init__(self, bins: Bins, *, outputs: int, gain: float, scale: float) -> None:
        super().__init__()
        self._projections, inputs = bins.directions.shape
        rows = self._projections * bins.edges.shape[1]
        self.encoder = nn.Linear(inputs, rows)
        self.decoder = nn.Linear(rows, outputs, bias=False)
        signs = 1.0 - 2.0 * (torch.arange(outputs) % 2)
        with torch.no_grad():
            self.encoder.weight.copy_(scale * bins.directions.repeat_interleave(bins.edges.shape[1], 0))
            self.encoder.bias.copy_(-scale * bins.edges.flatten())
            self.decoder.weight.copy_((signs[:, None] * gain / scale).expand(outputs, rows))

    def forward(self, inputs: Tensor) -> Tensor:
        """What is added to the outputs, ``(n, outputs)``."""
        above = self.encoder(inputs.flatten(1)).relu()
        result: Tensor = self.decoder(torch.minimum(above, self._widths()))
        return result

    def _widths(self) -> Tensor:
        """Width of each bin in units of the encoder's outputs; the last of a projection is open. ``(rows,)``."""
        offsets = self.encoder.bias.detach().reshape(self._projections, -1)
        return nn.functional.pad(offsets[:, :-1] - offsets[:, 1:], (0, 1), value=float("inf")).flatten()


class Imprinted(nn.Module):
    """The federation's model with an :class:`ImprintBlock` beside it."""

    def __init__(self, imprint: ImprintBlock, model: nn.Module) -> None:
        super().__init__()
        self.imprint = imprint
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of the model plus those of the block."""
        outputs: Tensor = self.model(inputs)
        added: Tensor = self.imprint(inputs)
        return outputs + added.reshape(outputs.shape)


def make_bins(model: SharedModel, population: Records | None, *, rows: int, projections: int, seed: int) -> Bins:
    """Random directions, with edges at equal quantiles of a normal distribution fitted to other records.

    Without other records, inputs are taken as uniform in their valid box, or standard normal without one.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = int(torch.tensor(model.shape.input_shape).prod())
    directions = torch.randn(projections, inputs, generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)
    if population is not None and len(population) >= 2:
        measured = population.inputs.flatten(1).float().cpu() @ directions.T
        centre, spread = measured.mean(0), measured.std(0)
    else:
        low, high = box(model)
        middle = torch.zeros(inputs) if low is None or high is None else _flat((low + high) / 2, model)
        width = torch.ones(inputs) if low is None or high is None else _flat((high - low) / 12**0.5, model)
        centre, spread = directions @ middle, (directions.square() @ width.square()).sqrt()
    count = max(2, rows // projections)
    quantiles = torch.tensor([NormalDist().inv_cdf((i + 0.5) / count) for i in range(count)])
    edges = centre[:, None] + spread[:, None].clamp_min(1e-6) * quantiles[None]
    return _with_lengths(Bins(directions, edges), population)


def bins_of(weight: Tensor, bias: Tensor, population: Records | None, *, projections: int) -> Bins:
    """The bins of a block, read off the encoder's weight ``(rows, inputs)`` and bias ``(rows,)`` that were sent."""
    rows = weight.detach().float().cpu().reshape(projections, -1, weight.shape[1])
    scale = rows[:, 0].norm(dim=1)
    edges = -bias.detach().float().cpu().reshape(projections, -1) / scale[:, None]
    return _with_lengths(Bins(rows[:, 0] / scale[:, None], edges), population)


def _with_lengths(bins: Bins, population: Records | None) -> Bins:
    if population is None or len(population) < 2:
        return bins
    lengths = population.inputs.flatten(1).float().cpu().norm(dim=1)
    return replace(bins, length=float(lengths.mean()), length_spread=float(lengths.std() / lengths.mean()))


def _flat(values: Tensor, model: SharedModel) -> Tensor:
    return values.expand(model.shape.input_shape).flatten()
