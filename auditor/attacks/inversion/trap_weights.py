"""Weights of a malicious server under which each neuron of the first layer answers to few records."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from auditor.attacks.base import AlteredModel, AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.evidence import as_update, box, fresh_module, probe_inputs
from auditor.attacks.inversion.linear_layer import LinearLayer
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_PROBED = 8
_SILENT = 1e-5
_TINY = 1e-12


class TrapWeights:
    """Half of each row's weights positive, half negative, so that most records leave the neuron silent.

    Boenisch et al., 2023, arXiv:2112.02918, section 5.2. The architecture stays as agreed; only the values of the
    first layer change. The paper takes one factor between the positive and the negative half for all rows. Here each
    row's factor is fitted to other records, so that it fires for as many of them as one in a batch: the paper's
    default fires for all or for none where pictures are bright or were normalised. A neuron that fired for a single
    record gives that record exactly; that several neurons agree on it tells it from a mixture. The layer must read
    the flattened input and feed a ReLU. A client that compares the weights of rounds, or a loss that jumps, notices.
    """

    name: ClassVar[str] = "inversion/trap-weights"
    title: ClassVar[str] = "Records read off a first layer with altered weights"
    paper: ClassVar[str] = "Boenisch et al., 2023, arXiv:2112.02918, section 5.2"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.ALTERS_MODEL, Grant.POPULATION_DATA}),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE}),
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
        """Defaults: one record of a batch fires each neuron on average."""

        firing: Annotated[float, Field(gt=0, le=0.5)] | None = Field(
            None, description="Share of records that fire a neuron; None = one in the records behind an update."
        )

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        return []

    def cost(self, shape: TargetShape) -> Cost:
        return Cost(gradient_evaluations=1 + _PROBED)

    def alter(self, model: SharedModel, state: State, known: Knowledge, context: RunContext) -> AlteredModel:
        """The same architecture; the first layer's weight and bias replaced.

        Raises:
            AttackFailed: where no other records are held, or the layer's neurons do not fall silent.
        """
        if known.population is None or len(known.population) < 2:
            raise AttackFailed("other records are needed to fit the trap weights to")
        others, layer = known.population.to("cpu"), _first_linear(model)
        state = {name: value.detach().cpu() for name, value in state.items()}
        weight, bias = f"{layer}.weight", f"{layer}.bias"
        share = self.params.firing or min(0.5, 1 / max(1, model.shape.records_per_update))
        rows, offsets = trap_rows(state[weight], others, model, share=share, generator=context.generator())
        altered = {**state, weight: rows.to(state[weight]), bias: offsets.to(state[bias])}
        _check_silence(model, altered, others, layer)
        return AlteredModel(model, altered)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """Records that neurons give, those that several agree on first; no more than stand behind ``seen``.

        Raises:
            AttackFailed: where the first layer is not in the update.
        """
        return LinearLayer(LinearLayer.Params()).run(as_update(seen), known, context)


def trap_rows(
    weight: Tensor, others: Records, model: SharedModel, *, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weights ``(neurons, inputs)`` and biases ``(neurons,)`` that fire for ``share`` of the other records.

    Inputs are measured from the lowest valid value, so that they are not negative; then a row fires where the sum
    over its negative half is less than ``factor`` times that over its positive half. The factor is a quantile of
    that ratio over the other records; neither contrast nor brightness moves it.

    Args:
        weight: Weights that are replaced; their size is kept.
        others: Records to fit to.
        model: For the valid box.
        share: Share of the records for which a neuron fires.
        generator: For the rows.
    """
    inputs = others.inputs.flatten(1).double().cpu()
    lowest = _lowest(model, inputs)
    neurons, width = weight.shape
    size = torch.randn(neurons, width, generator=generator, dtype=torch.float64).abs() * float(weight.std())
    positive = torch.rand(neurons, width, generator=generator).argsort(1) < width // 2
    up, down = size * positive, size * ~positive
    above = (inputs - lowest).clamp_min(0)
    ratio = (above @ down.T) / (above @ up.T).clamp_min(_TINY)
    factor = torch.quantile(ratio, share, dim=0)
    rows = factor[:, None] * up - down
    return rows, -(rows @ lowest)


def _lowest(model: SharedModel, inputs: Tensor) -> Tensor:
    low, _ = box(model)
    return inputs.amin(0) if low is None else low.double().expand(model.shape.input_shape).flatten()


def _first_linear(model: SharedModel) -> str:
    """Path of the linear layer that is called first."""
    module = fresh_module(model)
    order: list[str] = []
    for path, layer in module.named_modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_pre_hook(lambda _m, _i, path=path: order.append(path))
    with torch.no_grad():
        module(probe_inputs(model, 2, generator=torch.Generator().manual_seed(0)))
    if not order or dict(module.named_parameters()).get(f"{order[0]}.bias") is None:
        raise AttackFailed("the model has no first linear layer with a bias")
    return order[0]


def _check_silence(model: SharedModel, state: State, others: Records, layer: str) -> None:
    """Raise where a neuron below zero still has a gradient: then every neuron mixes all records."""
    functional = FunctionalModel(model)
    weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
    for i in range(min(_PROBED, len(others))):
        silent = others.inputs[i].flatten() @ weight.T + bias < 0
        slope = functional.gradient(state, others[i : i + 1])[f"{layer}.bias"].abs()
        if bool((slope[silent] > _SILENT * slope.max()).any()):
            raise AttackFailed("neurons of the first layer do not fall silent (no ReLU follows), so none can be a trap")
