"""Records in closed form from the gradient of a linear first layer."""

from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.evidence import Update, as_update, box, fresh_module, mean_gradient, probe_inputs
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.model import SharedModel
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_SWEEPS = 1000
_SETTLED = 1e-7


@dataclass(frozen=True)
class _Rows:
    """Candidate inputs, one per neuron, with the size of the bias gradient that carries each."""

    inputs: Tensor
    strength: Tensor


class LinearLayer:
    """Weight gradient divided by bias gradient of the first layer.

    Each neuron's weight gradient is the sum of the inputs, each times that record's bias gradient (Phong et al.,
    2018, IEEE TIFS 13(5); Geiping et al., 2020, arXiv:2003.14053, proposition 3.1). With one record every neuron
    gives it exactly. With several, a neuron gives a mixture unless one record alone excites it; such records show
    as the same ratio at more than one neuron, and only those are called sure.
    """

    name: ClassVar[str] = "inversion/linear-layer"
    title: ClassVar[str] = "Reading records off the first layer's gradient"
    paper: ClassVar[str] = "Phong et al., 2018, IEEE TIFS 13(5); Geiping et al., 2020, arXiv:2003.14053, prop. 3.1"
    needs: ClassVar[Needs] = Needs(
        frozenset(),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE, Grant.PARTIAL_UPDATE}),
        traits={
            "continuous_input": "the input is not continuous",
            "first_layer_linear": "the first trainable layer is not linear on the flattened input",
            "first_layer_bias": "the first layer has no bias, so its gradient gives records only up to a factor",
        },
    )
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults: two neurons agree on a record within a millirad, which chance does not do."""

        agreement: Annotated[float, Field(gt=0, lt=1)] = Field(
            0.9999, description="Cosine between two neurons' ratios that counts as the same record."
        )

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        return []

    def cost(self, shape: TargetShape) -> Cost:
        return Cost(gradient_evaluations=1)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """At most as many records as stand behind ``seen``, the surest first.

        Raises:
            AttackFailed: where the first layer is not in the update.
        """
        update = as_update(seen)
        weight, bias = first_layer(update, known.model)
        shape = known.model.shape.input_shape
        if isinstance(update, ClientUpdate) and update.shown is not None:
            found = self._partly(weight, bias, update, known.model)
        elif update.records == 1:
            one = (bias @ weight) / bias.square().sum().clamp_min(1e-30)
            found = Reconstruction(one.reshape(1, *shape), confidence=torch.ones(1), iterations=1)
        else:
            found = self._several(weight, bias, update.records, known.model)
        return found

    def _partly(self, weight: Tensor, bias: Tensor, update: ClientUpdate, model: SharedModel) -> Reconstruction:
        if update.records > 1:
            raise AttackFailed("only some coordinates of the first layer were seen, and several records mix in them")
        assert update.shown is not None
        name = first_linear(model)
        seen = _Seen(update.shown[f"{name}.weight"].cpu(), update.shown[f"{name}.bias"].cpu())
        one, share = completed(weight, bias, seen)
        note = f"{share:.0%} of the record's values stand in a coordinate that was seen."
        return Reconstruction(one.reshape(1, *model.shape.input_shape), confidence=torch.ones(1), notes=(note,))

    def _several(self, weight: Tensor, bias: Tensor, records: int, model: SharedModel) -> Reconstruction:
        rows = _ratios(weight, bias)
        if not len(rows.inputs):
            return Reconstruction(torch.empty(0, *model.shape.input_shape), notes=("No neuron was excited.",))
        groups = _groups(rows, self.params.agreement)
        chosen = _distinct(rows, groups, records, model)
        support = groups.sum(1)[chosen].float()
        sure = int((support > 1).sum())
        return Reconstruction(
            rows.inputs[chosen].reshape(-1, *model.shape.input_shape),
            confidence=support / support.max().clamp_min(1),
            iterations=1,
            notes=(f"{sure} of {len(chosen)} outputs were given by several neurons alike; others may be mixtures.",),
        )


class _Seen(NamedTuple):
    """Which coordinates were seen: weight ``(neurons, inputs)`` and bias ``(neurons,)``, bool."""

    weight: Tensor
    bias: Tensor


def completed(weight: Tensor, bias: Tensor, seen: _Seen) -> tuple[Tensor, float]:
    """The record whose outer product with the bias gradient fits the coordinates seen, and the share found.

    One record leaves ``weight = bias record'``, a matrix of rank one, which alternating least squares completes; the
    biases that were seen fix the scale. Values that stand in no coordinate seen are zero.
    """
    there, known = seen.weight.double(), seen.bias
    rows = weight.double() * there
    factors = torch.where(known, bias, torch.zeros_like(bias)).double()
    record = torch.zeros(rows.shape[1], dtype=torch.float64)
    for _ in range(_SWEEPS):
        record = (factors @ rows) / (factors.square() @ there).clamp_min(1e-30)
        fitted = (rows @ record) / (there @ record.square()).clamp_min(1e-30)
        before, factors = factors, torch.where(known, bias.double(), fitted)
        if float((factors - before).norm()) <= _SETTLED * float(factors.norm()):
            break
    weighed = factors.square() @ there
    reached = weighed > weighed.max() * 1e-12
    return torch.where(reached, record, 0.0).to(weight.dtype), float(reached.double().mean())


def first_linear(model: SharedModel) -> str:
    """Path of the linear layer that is called first; empty where there is none."""
    module = fresh_module(model)
    order: list[str] = []
    for path, layer in module.named_modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_pre_hook(lambda _m, _i, path=path: order.append(path))
    with torch.no_grad():
        module(probe_inputs(model, 2, generator=torch.Generator().manual_seed(0)))
    return order[0] if order else ""


def first_layer(seen: Update, model: SharedModel) -> tuple[Tensor, Tensor]:
    """Gradients of weight ``(neurons, inputs)`` and bias ``(neurons,)`` of the layer that reads the input first."""
    gradient, first = mean_gradient(seen), first_linear(model)
    if f"{first}.weight" not in gradient or f"{first}.bias" not in gradient:
        raise AttackFailed("the gradient of the first layer's weight and bias is not in the update")
    weight, bias = gradient[f"{first}.weight"].cpu(), gradient[f"{first}.bias"].cpu()
    if weight.shape[1] != prod(model.shape.input_shape):
        raise AttackFailed("the first linear layer does not read the flattened input")
    return weight, bias


def _ratios(weight: Tensor, bias: Tensor) -> _Rows:
    """Input per neuron, the most excited first; silent neurons and those below the noise are left out."""
    strength = bias.abs()
    alive = strength > strength.max() * 1e-6
    order = torch.argsort(strength[alive], descending=True)
    return _Rows((weight[alive] / bias[alive, None])[order], strength[alive][order])


def _groups(rows: _Rows, agreement: float) -> Tensor:
    """Boolean ``(rows, rows)``: which neurons give the same direction with the same length."""
    length = rows.inputs.norm(dim=1).clamp_min(1e-30)
    unit = rows.inputs / length[:, None]
    close = unit @ unit.T >= agreement
    ratio = length[:, None] / length[None]
    alike: Tensor = close & (ratio > agreement) & (ratio < 1 / agreement)
    return alike


def _distinct(rows: _Rows, groups: Tensor, records: int, model: SharedModel) -> Tensor:
    """Indices of the rows to return: most agreement first, then those inside the valid box, no two alike."""
    low, high = box(model)
    inputs = rows.inputs.reshape(-1, *model.shape.input_shape)
    inside = torch.ones(len(inputs))
    if low is not None and high is not None:
        slack = 0.05 * (high - low)
        inside = ((inputs >= low - slack) & (inputs <= high + slack)).flatten(1).float().mean(1)
    left = groups.sum(1).float() + inside
    chosen: list[int] = []
    while len(chosen) < records and bool((left > 0).any()):
        best = int(left.argmax())
        chosen.append(best)
        left[groups[best]] = -1.0
        left[best] = -1.0
    return torch.tensor(chosen, dtype=torch.int64)
