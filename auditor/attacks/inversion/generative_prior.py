"""Reconstruction among the records that a generative model of other records can make."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.autoencoder import Decoder, given, trained
from auditor.attacks.inversion.distance import Distance
from auditor.attacks.inversion.evidence import Update, as_update
from auditor.attacks.inversion.gradient_matching import choose
from auditor.attacks.inversion.label_counts import recover_counts
from auditor.attacks.inversion.label_guess import guesses, head_is_hidden
from auditor.attacks.inversion.replay import Replay
from auditor.attacks.inversion.search import Found, Schedule, Search, probe
from auditor.attacks.inversion.unknowns import Unknowns
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.functional import FunctionalModel
from auditor.observations.moving import on_device
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_FEWEST = 32
_SAMPLES = 256


@dataclass(frozen=True)
class Latents(Unknowns):
    """Unknown records written as latents of a decoder; their prior is the standard normal's."""

    decoder: Decoder | None = None

    def decode(self, free: Tensor) -> Tensor:
        assert self.decoder is not None
        return self.decoder(free)

    def project_(self, free: Tensor) -> None:
        free.clamp_(-4, 4)

    def roughness(self, inputs: Tensor) -> Tensor:
        return inputs.new_zeros(inputs.shape[0])


@dataclass(frozen=True)
class Anchored(Unknowns):
    """Records that may leave what the decoder made of them, the farther the dearer.

    Attributes:
        anchor: What the decoder made, ``(candidates, records, *input_shape)``.
        spread: Standard deviation of real records around what the decoder makes of them.
    """

    anchor: Tensor | None = None
    spread: float = 1.0

    def roughness(self, inputs: Tensor) -> Tensor:
        assert self.anchor is not None
        return ((inputs - self.anchor) / max(self.spread, 1e-6)).square().flatten(1).mean(1)


class GenerativePrior:
    """Search among what a variational autoencoder can make, then leave it as far as the gradient asks.

    Jeon et al., 2021, arXiv:2110.14962 (GIAS): a search in the latent space of a generative model, then in a larger
    space around what it found. The model is trained here on the other records that the adversary holds, or is the
    decoder that ``target.prior`` names. The larger space is that of the records themselves, each held to what the
    decoder made with the spread that real records have around it (GIAS moves the generator's weights). How strongly is
    chosen from a grid by the matching distance and the known noise, never by the truth. A prior makes plausible
    records whether or not an update says anything: its own samples go with the result, and count as a guess without
    attack.
    """

    name: ClassVar[str] = "inversion/generative-prior"
    title: ClassVar[str] = "Reconstruction with a generative model of other records"
    paper: ClassVar[str] = "Jeon et al., 2021, arXiv:2110.14962; Kingma and Welling, 2014, arXiv:1312.6114"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.POPULATION_DATA}),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE, Grant.PARTIAL_UPDATE}),
        modalities=frozenset({Modality.IMAGE, Modality.TABULAR, Modality.TIMESERIES}),
        tasks=frozenset({Task.CLASSIFICATION}),
        traits={"continuous_input": "the input is not continuous (tokens cannot be moved by a gradient)"},
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults for a prior that is trained in seconds and a search in a minute on a CPU."""

        latent: Annotated[int, Field(ge=1)] = Field(32, description="Size of a latent.")
        hidden: Annotated[int, Field(ge=8)] = Field(256, description="Width of the autoencoder's hidden layers.")
        training_steps: Annotated[int, Field(ge=1)] = Field(3000, description="Batches the autoencoder is trained on.")
        starts: Annotated[int, Field(ge=1)] = Field(4, description="Latents to start from, for each record.")
        iterations: Annotated[int, Field(ge=1)] = Field(300, description="Steps in the latent space.")
        refinement: Annotated[int, Field(ge=0)] = Field(200, description="Steps around what was found there.")
        holds: tuple[Annotated[float, Field(ge=0)], ...] = Field(
            (0.1, 0.01, 0.001), description="Grid: how strongly records are held to what the decoder made."
        )
        learning_rate: Annotated[float, Field(gt=0)] = Field(0.1, description="First step size of a latent.")
        inputs: Annotated[int, Field(ge=1)] = Field(
            12_288, description="Records with more values are not tried: a dense decoder of them is too large."
        )
        records: Annotated[int, Field(ge=1)] = Field(64, description="Larger batches are not tried.")

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        size, reasons = int(torch.tensor(shape.input_shape).prod()), []
        if size > self.params.inputs:
            reasons.append(f"is for records of at most {self.params.inputs} values; these have {size}")
        if shape.population < _FEWEST:
            reasons.append(f"needs at least {_FEWEST} other records to learn from; there are {shape.population}")
        if shape.records_per_update > self.params.records:
            reasons.append(f"tries at most {self.params.records} records; here are {shape.records_per_update}")
        if shape.classes < 2:
            reasons.append("is for a softmax over at least two classes")
        return reasons

    def cost(self, shape: TargetShape) -> Cost:
        steps = self.params.iterations * self.params.starts + self.params.refinement * (1 + len(self.params.holds))
        return Cost(gradient_evaluations=3 * steps)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """As many records as stand behind ``seen``, with samples of the prior.

        Raises:
            AttackFailed: where too few other records are held, or labels cannot be recovered.
        """
        update = as_update(seen)
        if known.population is None or len(known.population) < _FEWEST:
            raise AttackFailed(f"at least {_FEWEST} other records are needed to learn a prior from")
        params, generator = self.params, context.generator()
        size = {"latent": params.latent, "hidden": params.hidden, "steps": params.training_steps}
        own = known.prior
        made_by = f"the decoder {own.name}" if own else "the prior"
        prior = (given(own, known.population) if own else trained(known.population, **size)).to(context.device)
        labels = _labels(update, known, params.starts, context, generator).to(context.device)
        start = torch.randn((params.starts, update.records, prior.latent), generator=generator).to(context.device)
        task = _Task(update, known, context)
        latents = Latents(**vars(Unknowns.of(known.model, device=context.device)), decoder=prior)
        first = task.search(latents, start, labels, Schedule(params.iterations, params.learning_rate, False))
        best = int(torch.nan_to_num(first.distances, nan=torch.inf).argmin())
        inputs, distance, how = self._refined(task, first, best, prior)
        return Reconstruction(
            inputs.cpu(),
            labels=first.labels[best].cpu(),
            confidence=torch.full((update.records,), 1.0 - distance),
            objective=distance,
            iterations=first.iterations + params.refinement,
            notes=(f"Best of {params.starts} searches among what {made_by} makes; {how}; distance {distance:.3g}.",),
            prior_samples=prior.samples(_SAMPLES, generator=generator),
        )

    def _refined(self, task: "_Task", first: Found, best: int, prior: Decoder) -> tuple[Tensor, float, str]:
        """The records after the second search, their distance, and how far they were let go."""
        holds = torch.tensor(self.params.holds)
        if not self.params.refinement or not len(holds) or task.context.out_of_time:
            return first.inputs[best], float(first.distances[best]), "not refined"
        anchor = first.inputs[best].expand(len(holds), *first.inputs[best].shape).contiguous()
        around = Anchored(
            **vars(Unknowns.of(task.known.model, device=task.context.device)), anchor=anchor, spread=prior.spread
        )
        labels = first.labels[best].expand(len(holds), *first.labels[best].shape).contiguous()
        rate = self.params.learning_rate * min(1.0, prior.spread)
        second = task.search(around, anchor, labels, Schedule(self.params.refinement, rate, False), holds)
        distances = torch.cat([first.distances[best : best + 1], second.distances])
        strengths = torch.cat([torch.tensor([torch.inf]), holds]).to(distances)
        chosen = choose(distances, strengths, attainable=task.attainable)
        if chosen == 0:
            return first.inputs[best], float(distances[0]), "as the decoder made them"
        how = f"held to it with strength {float(holds[chosen - 1]):g}"
        return second.inputs[chosen - 1], float(distances[chosen]), how


class _Task:
    """One update to be matched, in whatever way its records are written."""

    def __init__(self, update: Update, known: Knowledge, context: RunContext) -> None:
        self.known, self.context = known, context
        self._model = FunctionalModel(known.model, device=context.device, batch_norm=update.local.batch_norm)
        self._update = replace(update, before=on_device(update.before, context.device))
        self._names = tuple(name for name in self._model.parameter_names if name in update.update)
        self._distance = Distance.to(update, kind="cosine", device=context.device)
        self._unroll = update.kind == "difference" and 1 < update.local.steps <= 8

    @property
    def attainable(self) -> float:
        return self._distance.attainable

    def search(
        self, unknowns: Unknowns, start: Tensor, labels: Tensor, schedule: Schedule, weights: Tensor | None = None
    ) -> Found:
        """Descend from ``start``; see :class:`Search`."""
        prior = (torch.zeros(len(start)) if weights is None else weights).to(start)

        def make(batched: bool) -> Search:
            replay = Replay(self._model, self._update, self._names, self._unroll, batched)
            return Search(unknowns, replay, self._distance, prior, schedule)

        return probe(make, start, labels, wanted=self.context.batched).run(start, labels, self.context)


def _labels(
    update: Update, known: Knowledge, candidates: int, context: RunContext, generator: torch.Generator
) -> Tensor:
    """Labels of each start, ``(starts, records)``, each in an order of its own."""
    if head_is_hidden(update, known):
        return guesses(update, known, candidates, generator=generator)
    single = recover_counts(update, known, seed=context.seed).labels() if update.labels is None else update.labels.cpu()
    return torch.stack([single[torch.randperm(len(single), generator=generator)] for _ in range(candidates)])
