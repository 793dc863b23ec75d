"""Reconstruction by making candidate records whose gradient matches the observed one."""

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.distance import Distance
from auditor.attacks.inversion.evidence import Update, as_update
from auditor.attacks.inversion.label_counts import recover_counts
from auditor.attacks.inversion.label_guess import MOST, guesses, head_is_hidden
from auditor.attacks.inversion.replay import Replay
from auditor.attacks.inversion.search import Found, Schedule, Search, probe
from auditor.attacks.inversion.statistics import BatchStatistics
from auditor.attacks.inversion.step_order import LOOKS, orders_tried
from auditor.attacks.inversion.unknowns import Unknowns
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_FEWEST = 100
_NEARLY = 1.1


class GradientMatching:
    """Cosine distance plus total variation, signed Adam, a grid of prior weights as one batch.

    Geiping et al., 2020, arXiv:2003.14053, with the weight of the prior chosen by the matching distance from a grid
    instead of fixed; local steps are unrolled (section 5 there), and which record stood in which step is searched as
    well. Labels come from the attack's own recovery.
    """

    name: ClassVar[str] = "inversion/gradient-matching"
    title: ClassVar[str] = "Reconstruction by gradient matching"
    paper: ClassVar[str] = "Geiping et al., 2020, arXiv:2003.14053, algorithm 1 and section 5"
    needs: ClassVar[Needs] = Needs(
        frozenset(),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE, Grant.PARTIAL_UPDATE}),
        modalities=frozenset({Modality.IMAGE, Modality.TABULAR, Modality.TIMESERIES}),
        traits={"continuous_input": "the input is not continuous (tokens cannot be moved by a gradient)"},
    )
    revision: ClassVar[int] = 3
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults are for an audit in minutes; reproductions of published figures use 1,000 iterations."""

        iterations: Annotated[int, Field(ge=1)] = Field(500, description="Optimiser steps.")
        learning_rate: Annotated[float, Field(gt=0)] = Field(0.1, description="First step size in model units.")
        total_variation: tuple[Annotated[float, Field(ge=0)], ...] = Field(
            (0.05, 0.02, 0.01, 0.002), description="Grid of prior weights; no single one suits all models and batches."
        )
        restarts: Annotated[int, Field(ge=1)] = Field(1, description="Starts for each weight of the grid.")
        objective: Literal["cosine", "l2"] = Field("cosine", description="Cosine forgives unknown scale.")
        unrolled_steps: Annotated[int, Field(ge=0)] = Field(
            8, description="More local steps than this are read as one gradient."
        )
        record_gradients: Annotated[int, Field(ge=1)] | None = Field(
            200_000,
            description="Iterations x candidates x records x local steps, at most; large batches, which matching "
            "hardly ever breaks, get fewer iterations. None = no limit.",
        )
        batch_norm_statistics: Annotated[float, Field(ge=0)] = Field(
            0.1, description="Weight of batch-norm statistics, where the client sent them."
        )
        records: Annotated[int, Field(ge=1)] = Field(
            256, description="Larger batches are not tried: matching finds nothing there in any budget of an audit."
        )

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        if shape.records_per_update > self.params.records:
            return [
                f"tries at most {self.params.records} records behind an update (parameter 'records'); "
                f"here are {shape.records_per_update}"
            ]
        return []

    def cost(self, shape: TargetShape) -> Cost:
        steps = self._steps(shape.local_steps)
        weights = self._weights(shape.modality)
        iterations = self._iterations(len(weights), shape.records_per_update * steps)
        looks = len(LOOKS) * orders_tried(shape.records_per_update) if steps > 1 else 0
        return Cost(gradient_evaluations=(3 * iterations + looks) * len(weights) * steps)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """As many records as stand behind ``seen``, of the candidate with the least matching distance.

        Raises:
            AttackFailed: where labels cannot be recovered, or the update is zero or not finite.
        """
        update = as_update(seen)
        generator = context.generator()
        weights = self._weights(known.model.modality)
        if update.records == 1 and head_is_hidden(update, known):
            weights = weights.median().expand(min(MOST, max(2, known.model.shape.classes)))
        unknowns = Unknowns.of(known.model, device=context.device)
        start = unknowns.start(len(weights), update.records, known.population, generator=generator)
        labels, rule = self._labels(update, known, len(weights), context, generator)
        start, labels = start.to(context.device), labels.to(context.device)
        search = self._search(update, known, unknowns, weights, (start, labels), context)
        found = search.run(start, labels, context)
        chosen = choose(found.distances, weights, attainable=search.distance.attainable)
        return self._returned(found, chosen, search, rule)

    def _steps(self, local_steps: int) -> int:
        """Local steps that are unrolled; 1 where they are read as one gradient."""
        return local_steps if 1 < local_steps <= self.params.unrolled_steps else 1

    def _iterations(self, candidates: int, record_steps: int) -> int:
        if self.params.record_gradients is None:
            return self.params.iterations
        affordable = self.params.record_gradients // max(1, candidates * record_steps)
        return max(1, min(self.params.iterations, max(_FEWEST, affordable)))

    def _weights(self, modality: Modality) -> Tensor:
        grid = self.params.total_variation if modality is not Modality.TABULAR else (0.0,)
        return torch.tensor([weight for weight in grid or (0.0,) for _ in range(self.params.restarts)])

    def _labels(
        self, update: Update, known: Knowledge, candidates: int, context: RunContext, generator: torch.Generator
    ) -> tuple[Tensor, str]:
        """Labels ``(candidates, records, ...)``; each candidate has its own order, which matters in local steps."""
        if known.model.task is Task.REGRESSION:
            shape = (candidates, update.records, *_target_shape(known, update))
            return torch.randn(shape, generator=generator), "regression targets were searched together with the inputs"
        if head_is_hidden(update, known):
            drawn = guesses(update, known, candidates, generator=generator)
            return drawn, "tried in turn, for the classifier head was not seen"
        recovered = recover_counts(update, known, seed=context.seed)
        single = recovered.labels() if update.labels is None else update.labels.cpu()
        orders = [torch.arange(len(single))]
        orders += [torch.randperm(len(single), generator=generator) for _ in range(candidates - 1)]
        return torch.stack([single[order] for order in orders]), recovered.rule

    def _search(
        self,
        update: Update,
        known: Knowledge,
        unknowns: Unknowns,
        weights: Tensor,
        begin: tuple[Tensor, Tensor],
        context: RunContext,
    ) -> Search:
        model = FunctionalModel(known.model, device=context.device, batch_norm=update.local.batch_norm)
        names = tuple(name for name in model.parameter_names if name in update.update)
        steps = self._steps(update.local.steps) if update.kind == "difference" else 1
        distance = Distance.to(update, kind=self.params.objective, device=context.device)
        signed = known.model.modality is not Modality.TABULAR
        iterations = self._iterations(len(weights), update.records * steps)
        schedule = Schedule(iterations, self.params.learning_rate, signed)
        moved = _on_device(update, context.device)
        statistics = BatchStatistics.seen_in(update, model, steps=steps, device=context.device)

        plain = Replay(model, moved, names, steps > 1)
        if distance.plain and context.batched is not False:
            plain = plain.with_factors(Records(unknowns.decode(begin[0][:1])[0], begin[1][0]))

        def make(batched: bool) -> Search:
            replay = replace(plain, batched=batched)
            free = known.model.task is Task.REGRESSION
            prior = weights.to(context.device)
            share = self.params.batch_norm_statistics
            return Search(unknowns, replay, distance, prior, schedule, free, statistics, share)

        return probe(make, *begin, wanted=context.batched)

    def _returned(self, found: Found, chosen: int, search: Search, rule: str) -> Reconstruction:
        local = search.replay.seen.local
        notes = [
            f"Labels: {rule}.",
            f"{found.iterations} of {self.params.iterations} iterations, {len(found.distances)} candidates; chosen by "
            f"matching distance {float(found.distances[chosen]):.3g}, prior weight {float(search.weights[chosen]):g}.",
        ]
        if search.distance.noise_share >= 1:
            notes.append("The noise is as large as the whole update, so a match says nothing about the records.")
        if search.replay.seen.kind == "difference" and local.steps > self.params.unrolled_steps:
            notes.append(f"{local.steps} local steps were read as one gradient.")
        if search.statistics is not None:
            notes.append("Batch-norm statistics that the client sent were matched too.")
        return Reconstruction(
            found.inputs[chosen].cpu(),
            labels=found.labels[chosen].cpu(),
            confidence=(1.0 - found.distances[chosen]).expand(found.inputs.shape[1]).cpu(),
            objective=float(found.distances[chosen]),
            iterations=found.iterations,
            notes=tuple(notes),
        )


def choose(distances: Tensor, weights: Tensor, *, attainable: float) -> int:
    """The candidate to return, by matching distance, prior weight and known noise only.

    The lowest distance alone favours rough candidates that fit what is left undetermined (several steps, pruning,
    noise), so the smoothest candidate is taken among those that fit nearly as well as the best; under noise, among
    those as close as the noise lets the true records be (discrepancy principle).
    """
    distances = torch.nan_to_num(distances, nan=torch.inf)
    enough = max(float(distances.min()) * _NEARLY, attainable)
    close = distances <= enough
    smoothest = torch.where(close, weights.to(distances), -1.0).max()
    return int(torch.where(close & (weights.to(distances) == smoothest), distances, torch.inf).argmin())


def _target_shape(known: Knowledge, update: Update) -> tuple[int, ...]:
    if known.population is not None:
        return tuple(known.population.labels.shape[1:])
    return (known.model.shape.classes,) if known.model.shape.classes > 1 else ()


def _on_device(update: Update, device: str) -> Update:
    return replace(update, before={name: value.detach().to(device) for name, value in update.before.items()})
