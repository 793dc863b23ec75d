"""The layer that a malicious server puts in front of a model to copy records into the update."""

from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor, nn

from auditor.attacks.inversion.evidence import box
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records

_RATES = 256
_RIDGE = 0.1


@dataclass(frozen=True)
class Bins:
    """What the server fixed and needs again to read the update.

    Attributes:
        directions: Measurement vectors of unit length, ``(projections, inputs)``.
        edges: Lower edges of the bins on each direction, ascending, ``(projections, bins)``.
    """

    directions: Tensor
    edges: Tensor


class ImprintBlock(nn.Module):
    """``x + decoder(relu(encoder(x)))``: each encoder row fires where the measurement of x is above its edge.

    All columns of the decoder are equal, so a record leaves the same factor in every row that fires for it, and
    neighbouring rows differ by the records of one bin. The encoder is written small and the decoder large: that
    changes nothing in what the block computes, but the encoder's gradient then outweighs all others, and clipping
    shrinks the others.

    Args:
        bins: Directions and edges.
        direction: Of the block's output, entries of size about 1, ``(inputs,)``.
        gain: How strongly the block disturbs the model's input.
        scale: Length of an encoder row; the decoder's columns are ``direction * gain / scale``.
    """

    def __init__(self, bins: Bins, direction: Tensor, *, gain: float, scale: float) -> None:
        super().__init__()
        projections, inputs = bins.directions.shape
        rows = projections * bins.edges.shape[1]
        self.encoder = nn.Linear(inputs, rows)
        self.decoder = nn.Linear(rows, inputs, bias=False)
        with torch.no_grad():
            self.encoder.weight.copy_(scale * bins.directions.repeat_interleave(bins.edges.shape[1], 0))
            self.encoder.bias.copy_(-scale * bins.edges.flatten())
            self.decoder.weight.copy_((direction[:, None] * gain / scale).expand(inputs, rows))

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs of the model behind, in their own shape."""
        flat = inputs.flatten(1)
        result: Tensor = (flat + self.decoder(self.encoder(flat).relu())).reshape(inputs.shape)
        return result


class Imprinted(nn.Module):
    """The federation's model behind an :class:`ImprintBlock`."""

    def __init__(self, imprint: ImprintBlock, model: nn.Module) -> None:
        super().__init__()
        self.imprint = imprint
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of the model behind."""
        result: Tensor = self.model(self.imprint(inputs))
        return result


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
    return Bins(directions, centre[:, None] + spread[:, None].clamp_min(1e-6) * quantiles[None])


def steady_direction(model: SharedModel, state: State, population: Records | None, *, seed: int) -> Tensor:
    """Direction in input space along which the loss of most records changes at the same rate; length sqrt(inputs).

    The factor that a record leaves in its bin is this rate, and a record with a small one drowns in noise. Ridge
    solution of ``rate = 1`` over the input gradients of population records; random signs without a population.
    """
    inputs = int(torch.tensor(model.shape.input_shape).prod())
    generator = torch.Generator().manual_seed(seed)
    if population is None or len(population) < 2:
        return torch.randn(inputs, generator=generator).sign()
    chosen = torch.randperm(len(population), generator=generator)[:_RATES].tolist()
    records = population[chosen].to("cpu")
    points = records.inputs.float().requires_grad_()
    weights = {name: value.detach().cpu() for name, value in state.items()}
    losses = FunctionalModel(model).losses(weights, Records(points, records.labels))
    (rates,) = torch.autograd.grad(losses.sum(), points)
    rates = rates.flatten(1).double()
    gram = rates @ rates.T
    ridge = _RIDGE * gram.diagonal().mean().clamp_min(1e-30) * torch.eye(len(gram), dtype=torch.float64)
    direction = rates.T @ torch.linalg.solve(gram + ridge, torch.ones(len(gram), dtype=torch.float64))
    return (direction * inputs**0.5 / direction.norm().clamp_min(1e-30)).float()


def _flat(values: Tensor, model: SharedModel) -> Tensor:
    return values.expand(model.shape.input_shape).flatten()
