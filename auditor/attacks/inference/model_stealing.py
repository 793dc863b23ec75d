"""A copy of the model, made from its answers; then membership on the copy."""

import time
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.seeds import derive_seed
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.functional import FunctionalModel
from auditor.learning.optimisers import Optimiser
from auditor.observations.model import State
from auditor.observations.records import Records
from auditor.observations.released import Observation, Queries
from auditor.observations.returned import MembershipScores

HELD_OUT = 0.3
"""Share of the population that is never learned from: there the copy is compared with the original."""

LEAST_POPULATION = 100

LEAST_STEPS = 0.1
"""Share of the steps below which a copy is none."""


class ModelStealing:
    """Learn the model's scores on population records; then score candidates by the copy's loss.

    Tramer et al., 2016, arXiv:1609.02943 (a copy from scores); Orekondy et al., 2019, arXiv:1812.02766 (natural
    records as queries, soft answers as targets). Membership is read off the copy, without a further query, as the
    loss of a model learned from the same records' true labels minus the copy's (difficulty calibration: Watson et
    al., 2022, arXiv:2111.08440). That second model is also the floor for how well the copy agrees with the original.
    """

    name: ClassVar[str] = "inference/model-stealing"
    title: ClassVar[str] = "Membership on a stolen copy of the model"
    paper: ClassVar[str] = "Orekondy et al., 2019, arXiv:1812.02766; Watson et al., 2022, arXiv:2111.08440"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.MODEL_QUERIES, Grant.POPULATION_DATA, Grant.TRAINING_RECIPE}),
        modalities=frozenset({Modality.IMAGE, Modality.TABULAR, Modality.TIMESERIES}),
        tasks=frozenset({Task.CLASSIFICATION}),
    )
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Queries,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """How the copy is learned."""

        steps: Annotated[int, Field(ge=1)] = Field(600, description="Adam steps of the copy, and of its baseline.")
        batch_size: Annotated[int, Field(ge=1)] = Field(64, description="Records of one step.")
        learning_rate: Annotated[float, Field(gt=0)] = Field(2e-3, description="Of Adam; larger ones overshoot.")

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Enough records to learn from and to compare on."""
        if shape.population >= LEAST_POPULATION:
            return []
        return [f"needs {LEAST_POPULATION} population records; the target has {shape.population}"]

    def cost(self, shape: TargetShape) -> Cost:
        """Two trainings, and one query a population record."""
        return Cost(gradient_evaluations=2 * self.params.steps, queries=1)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Calibrated loss on the copy, ``(candidates,)``; agreement of copy and baseline on held-out records.

        Raises:
            AttackFailed: where something is missing, or time ends before there is a copy.
        """
        assert isinstance(seen, Queries)
        if seen.inputs is None or known.population is None or known.population_outputs is None:
            raise AttackFailed("the candidates themselves, population records, or answers on them are missing")
        model = FunctionalModel(known.model, device=context.device, batch_norm="eval")
        everyone, answers = known.population.to(context.device), two_columns(known.population_outputs)
        order = torch.randperm(len(everyone), generator=context.generator())
        size = round(HELD_OUT * len(order))
        kept, asked = order[:size], order[size:]
        start = model.initial_state(derive_seed(context.seed, "copy"))
        soft = answers.log_softmax(dim=1).exp()
        hard = F.one_hot(everyone.labels, num_classes=soft.shape[1]).to(soft)
        inputs, took = everyone.inputs[asked], self.params.steps
        copy, took = self._learned(model, start, inputs, soft[asked], context, most=took, end=_half(context))
        blind, done = self._learned(model, start, inputs, hard[asked], context, most=took, end=context.deadline)
        if min(took, done) < LEAST_STEPS * self.params.steps:
            raise AttackFailed(f"time ended after {min(took, done)} of {self.params.steps} steps of the copy")
        if done < self.params.steps:
            context.shortened.append(f"{took} of {self.params.steps} steps of the copy, {done} of its baseline")
        said = answers[kept].argmax(dim=1)
        agrees = [_answers(model, state, everyone.inputs[kept]).argmax(dim=1) == said for state in (copy, blind)]
        candidates = Records(seen.inputs, seen.labels)
        return MembershipScores(
            (_losses(model, blind, candidates) - _losses(model, copy, candidates)).cpu(),
            agreement=torch.stack(agrees, dim=1).cpu(),
        )

    def _learned(
        self,
        model: FunctionalModel,
        start: State,
        inputs: Tensor,
        targets: Tensor,
        context: RunContext,
        *,
        most: int,
        end: float | None,
    ) -> tuple[dict[str, Tensor], int]:
        """Cross-entropy against soft answers, and how many steps were taken; both models see the same batches."""
        generator = torch.Generator().manual_seed(derive_seed(context.seed, "batches"))
        optimiser = Optimiser("adam", self.params.learning_rate)
        state, names = dict(start), list(model.trainable)
        memory = optimiser.start([state[name] for name in names])
        for step in range(most):
            if end is not None and time.monotonic() > end:
                return state, step
            batch = torch.randint(len(inputs), (self.params.batch_size,), generator=generator)
            leaves = {name: state[name].detach().requires_grad_() for name in names}
            outputs = _answers(model, {**state, **leaves}, inputs[batch], grad=True)
            loss = -(targets[batch] * outputs.log_softmax(dim=1)).sum(dim=1).mean()
            gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
            stepped = optimiser.step([state[name] for name in names], gradients, memory)
            memory = stepped.memory
            state |= dict(zip(names, stepped.parameters, strict=True))
        return state, most


def _half(context: RunContext) -> float | None:
    """When half of the time that is left has gone: the baseline takes as long as the copy."""
    return None if context.deadline is None else (time.monotonic() + context.deadline) / 2


def _answers(model: FunctionalModel, state: State, inputs: Tensor, *, grad: bool = False) -> Tensor:
    with torch.set_grad_enabled(grad):
        return two_columns(model.outputs(state, inputs))


def two_columns(outputs: Tensor) -> Tensor:
    """Logits ``(n, classes)``; one logit for two classes becomes (0, z)."""
    flat = outputs.reshape(len(outputs), -1)
    return torch.cat([torch.zeros_like(flat), flat], dim=1) if flat.shape[1] == 1 else flat


def _losses(model: FunctionalModel, state: State, records: Records) -> Tensor:
    outputs = _answers(model, state, records.inputs)
    return F.cross_entropy(outputs, records.labels.to(outputs.device), reduction="none").double()
