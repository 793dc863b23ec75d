"""Reading records verbatim from the update of a model that a malicious server altered."""

from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from auditor.attacks.base import AlteredModel, AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.denoise import denoised
from auditor.attacks.inversion.evidence import Update, as_update, mean_gradient, step_weight
from auditor.attacks.inversion.imprint_block import Bins, ImprintBlock, Imprinted, bins_of, make_bins
from auditor.attacks.inversion.imprint_readout import Read, read_records
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape
from auditor.observations.model import SharedModel, State
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_ROUNDING = 2**-24
_STEADY = 0.1


class Imprint:
    """An inserted layer copies each record into its own bin of the update.

    Fowl et al., 2022, arXiv:2110.13057 (Robbing the Fed). Four differences: the rows are shared between independent
    random projections, so that two records that share a bin of one seldom share a bin of the other; a row has a
    gradient for the records of its bin alone, so that clipping spends its bound on copies and not on sums; the layer
    acts on the outputs, where records leave factors of like size; and the readout knows the noise: bins are found by
    a test on whole rows, and the scale of a record is fitted to its bin and to other records as well as to the noisy
    bias. Noise that is left on pictures is filtered by the patches of other pictures. A client that pins the
    architecture, or inspects the model it receives, notices this attack.
    """

    name: ClassVar[str] = "inversion/imprint"
    title: ClassVar[str] = "Records copied into the update by an altered model"
    paper: ClassVar[str] = "Fowl et al., 2022, arXiv:2110.13057"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.ALTERS_MODEL}),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE}),
        modalities=frozenset({Modality.IMAGE, Modality.TABULAR, Modality.TIMESERIES}),
        traits={"continuous_input": "the input is not continuous, so no layer can be put before it"},
    )
    revision: ClassVar[int] = 4
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults: sixteen bins a record keep collisions rare at the batch sizes of cross-silo federations."""

        bins: Annotated[int, Field(ge=4)] = Field(1024, description="Rows of the inserted layer, over all projections.")
        projections: Annotated[int, Field(ge=1)] = Field(2, description="Independent directions that share the rows.")
        gain: Annotated[float, Field(gt=0)] = Field(1e-3, description="How strongly the layer disturbs the outputs.")
        scale: Annotated[float, Field(gt=0)] | None = Field(
            None,
            description="Length of the layer's rows. The smaller, the less clipping helps; None = 1e-4 for one "
            "gradient, 0.1 where local steps would move small rows away.",
        )

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        return []

    def cost(self, shape: TargetShape) -> Cost:
        return Cost(gradient_evaluations=1)

    def alter(self, model: SharedModel, state: State, known: Knowledge, context: RunContext) -> AlteredModel:
        """The model with the layer in front, and ``state`` with its weights."""
        shared = {"rows": self.params.bins, "projections": self.params.projections, "seed": context.seed}
        bins = make_bins(model, known.population, **shared)
        return altered_by(
            bins, model, state, gain=self.params.gain, scale=self.params.scale or usual_scale(model.shape)
        )

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """Records read from the bins, the surest first, no more than stand behind ``seen``.

        Args:
            seen: Update of the altered model.
            known: ``model`` is the altered or the original one; only its input shape and box are read.
            context: Not used: the bins stand in the weights that were sent.

        Raises:
            AttackFailed: where the inserted layer is not in the update (the client pinned the architecture).
        """
        update = as_update(seen)
        gradient = mean_gradient(update)
        if "imprint.encoder.weight" not in gradient or "imprint.encoder.bias" not in gradient:
            raise AttackFailed("the inserted layer is not in the update: the client did not accept the altered model")
        weight, bias = gradient["imprint.encoder.weight"], gradient["imprint.encoder.bias"]
        sent = (update.before["imprint.encoder.weight"], update.before["imprint.encoder.bias"])
        bins = bins_of(*sent, known.population, projections=self.params.projections)
        found = read_records(weight, bias, bins, noise=noise_of(update), model=known.model)
        inputs, strength = cleared(found, update, known), found.strength[: update.records]
        return Reconstruction(
            inputs.float(),
            confidence=(strength / strength.max().clamp_min(1e-30) if len(strength) else strength).float(),
            iterations=1,
            notes=(f"{len(inputs)} bins held a record by the readout's own test; {update.records} records took part.",),
        )


def altered_by(bins: Bins, model: SharedModel, state: State, *, gain: float, scale: float) -> AlteredModel:
    """The model with a layer of these bins beside it, and ``state`` with the layer's weights."""
    outputs = max(1, model.shape.classes)

    def block() -> ImprintBlock:
        return ImprintBlock(bins, outputs=outputs, gain=gain, scale=scale)

    def build() -> nn.Module:
        return Imprinted(block(), model.build())

    inserted = {f"imprint.{name}": value.detach() for name, value in block().state_dict().items()}
    added = sum(value.numel() for value in inserted.values())
    shape = model.shape.model_copy(update={"parameters": model.shape.parameters + added})
    moved = {f"model.{name}": value for name, value in state.items()}
    return AlteredModel(replace(model, build=build, shape=shape), {**moved, **inserted})


def usual_scale(shape: TargetShape) -> float:
    """Small rows outweigh all other gradients; with several local steps they must stay where they are."""
    return 1e-4 if shape.local_steps <= 1 else _STEADY


def cleared(found: Read, update: Update, known: Knowledge) -> Tensor:
    """The records to return; pictures with known noise are filtered by what other pictures look like."""
    inputs = found.inputs[: update.records].reshape(-1, *known.model.shape.input_shape)
    others = known.population
    pictures = known.model.modality is Modality.IMAGE and inputs.ndim == 4
    if not pictures or update.privatisation.noise_std == 0 or others is None or len(others) < 2 or not len(inputs):
        return inputs
    return denoised(inputs, found.noise[: update.records], others)


def noise_of(update: Update) -> float:
    """Standard deviation of the noise on a coordinate of the layer's mean gradient.

    A difference of weights also carries their rounding, once for each local step.
    """
    if update.kind == "gradient":
        return update.privatisation.noise_std
    sent = update.before["imprint.encoder.weight"]
    rounding = float(sent.float().square().mean().sqrt()) * _ROUNDING * max(1, update.local.steps) ** 0.5
    return float((update.privatisation.noise_std**2 + rounding**2) ** 0.5) / step_weight(update.local)
