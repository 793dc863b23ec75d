"""Reading records verbatim from a sum of updates: each client receives a part of the inserted layer of its own."""

from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AlteredModel, AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.evidence import as_update, mean_gradient
from auditor.attacks.inversion.imprint import altered_by, cleared, noise_of, usual_scale
from auditor.attacks.inversion.imprint_block import Bins, bins_of, make_bins
from auditor.attacks.inversion.imprint_readout import Read, read_records
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape
from auditor.observations.model import SharedModel, State
from auditor.observations.released import Aggregate, Observation
from auditor.observations.returned import Reconstruction

_WEIGHT, _BIAS = "imprint.encoder.weight", "imprint.encoder.bias"
_LARGEST = 2**28
_FAR = 1e3


class DisjointImprint:
    """One imprint for each client of a round, in rows that are silent at all other clients.

    Zhao et al., 2024 (LOKI), arXiv:2303.12233: the server sends each client other parameters of one architecture,
    such that clients leave their records in different places of the update; a sum over clients then still separates.
    The paper switches columns on by convolution kernels, one set for each client, and all clients share the rows and
    so their bias gradient. Here the rows are switched: those of other clients hold weights of zero and a bias far
    below zero. The layer is as large, and each client has a bias gradient of its own, which gives the scale of its
    records. Each part is read as a single imprint is. Clients that compare the models they received with one another
    notice it, as do those that pin the architecture.
    """

    name: ClassVar[str] = "inversion/disjoint-imprint"
    title: ClassVar[str] = "Records copied into a sum of updates by models altered for each client"
    paper: ClassVar[str] = "Zhao et al., 2024, arXiv:2303.12233 (LOKI); Fowl et al., 2022, arXiv:2110.13057"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.ALTERS_MODEL, Grant.AGGREGATE_UPDATE}),
        modalities=frozenset({Modality.IMAGE, Modality.TABULAR, Modality.TIMESERIES}),
        traits={"continuous_input": "the input is not continuous, so no layer can be put before it"},
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (Aggregate,)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults: as the single imprint, for each client of a round."""

        bins: Annotated[int, Field(ge=4)] = Field(256, description="Rows for each client, over all its projections.")
        projections: Annotated[int, Field(ge=1)] = Field(2, description="Independent directions that share the rows.")
        gain: Annotated[float, Field(gt=0)] = Field(1e-3, description="How strongly the layer disturbs the outputs.")
        scale: Annotated[float, Field(gt=0)] | None = Field(
            None,
            description="Length of the layer's rows. The smaller, the less clipping helps; None = 1e-4 for one "
            "gradient, 0.1 where local steps would move small rows away.",
        )
        clients: Annotated[int, Field(ge=1)] | None = Field(
            None, description="Parts of the layer; None = as many as clients are expected in a round."
        )

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        size = self._parts(shape) * self.params.bins * int(torch.tensor(shape.input_shape).prod())
        if size > _LARGEST:
            return [
                f"the inserted layer would hold {size:,} weights; {_LARGEST:,} are tried at most (parameter 'bins')"
            ]
        return []

    def cost(self, shape: TargetShape) -> Cost:
        return Cost(gradient_evaluations=1)

    def alter(self, model: SharedModel, state: State, known: Knowledge, context: RunContext) -> AlteredModel:
        """The model with the layer beside it; ``for_client`` leaves one part of it awake."""
        shared = {"rows": self.params.bins, "projections": self.params.projections, "seed": context.seed}
        own, parts = make_bins(model, known.population, **shared), self._parts(model.shape)
        bins = replace(own, directions=own.directions.repeat(parts, 1), edges=own.edges.repeat(parts, 1))
        sent = altered_by(
            bins, model, state, gain=self.params.gain, scale=self.params.scale or usual_scale(model.shape)
        )
        rows = own.edges.numel()

        def for_client(place: int) -> State:
            return {**sent.state, **_awake(sent.state, rows, place)}

        return replace(sent, for_client=for_client)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """Records of all parts, the surest first, no more than stand behind the sum.

        Raises:
            AttackFailed: where the inserted layer is not in the sum (clients pinned the architecture).
        """
        update = as_update(seen)
        gradient = mean_gradient(update)
        if _WEIGHT not in gradient or _BIAS not in gradient:
            raise AttackFailed("the inserted layer is not in the sum: the clients did not accept the altered model")
        rows = self.params.projections * max(2, self.params.bins // self.params.projections)
        pieces = [torch.split(of[name], rows) for of in (gradient, update.before) for name in (_WEIGHT, _BIAS)]
        noise, reads = noise_of(update), []
        for weight, bias, sent_weight, sent_bias in zip(*pieces, strict=True):
            bins: Bins = bins_of(sent_weight, sent_bias, known.population, projections=self.params.projections)
            reads.append(read_records(weight, bias, bins, noise=noise, model=known.model))
        found = _together(reads)
        inputs, strength = cleared(found, update, known), found.strength[: update.records]
        holding = sum(bool(len(read.inputs)) for read in reads)
        return Reconstruction(
            inputs.float(),
            confidence=(strength / strength.max().clamp_min(1e-30) if len(strength) else strength).float(),
            iterations=1,
            notes=(f"{holding} of {len(reads)} parts of the layer held records; {len(inputs)} records were read.",),
        )

    def _parts(self, shape: TargetShape) -> int:
        return self.params.clients or max(1, shape.aggregated_clients)


def _awake(state: State, rows: int, place: int) -> State:
    """Encoder weights with one client's rows as they are; the others' rows never fire and have no gradient.

    Clients beyond the number of parts share them in turn.
    """
    weight, bias = state[_WEIGHT], state[_BIAS]
    first = place % (len(bias) // rows) * rows
    mine = torch.zeros(len(bias), dtype=torch.bool, device=bias.device)
    mine[first : first + rows] = True
    never: Tensor = -_FAR * bias.abs().max().clamp_min(1e-30).expand_as(bias)
    return {_WEIGHT: weight * mine[:, None], _BIAS: torch.where(mine, bias, never)}


def _together(reads: list[Read]) -> Read:
    """Reads of all parts, the surest first."""
    strength = torch.cat([read.strength for read in reads])
    order = torch.argsort(strength, descending=True)
    return Read(
        torch.cat([read.inputs for read in reads])[order],
        strength[order],
        torch.zeros(0, dtype=torch.int64),
        torch.cat([read.blur for read in reads])[order],
    )
