"""Joint search for records and labels whose gradient equals the observed one."""

from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.func import grad

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.evidence import Update, as_update, mean_gradient
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.functional import FunctionalModel
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_INNER = 20
_STALLED = 5
_EXPLAINED = 1e-4
_CONVERGED = 1e-9
_SCALE = 1e4
"""Keeps the squared gradient difference well above the rounding of the line search."""


class _Trial(NamedTuple):
    """End of one start: records, label probabilities, relative squared gradient difference, outer iterations."""

    inputs: Tensor
    labels: Tensor
    distance: float
    iterations: int


class DeepLeakage:
    """Squared gradient difference, L-BFGS over inputs and soft labels together.

    Zhu et al., 2019, arXiv:1906.08935, algorithm 1. The labels returned are the optimised ones. Starts are tried
    until one explains the gradient, because single starts of L-BFGS often stall; the choice between them is by the
    gradient difference. Works best for smooth activations and few records.
    """

    name: ClassVar[str] = "inversion/deep-leakage"
    title: ClassVar[str] = "Joint reconstruction of records and labels"
    paper: ClassVar[str] = "Zhu et al., 2019, arXiv:1906.08935, algorithm 1"
    needs: ClassVar[Needs] = Needs(
        frozenset(),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE}),
        modalities=frozenset({Modality.IMAGE, Modality.TABULAR, Modality.TIMESERIES}),
        tasks=frozenset({Task.CLASSIFICATION}),
        traits={"continuous_input": "the input is not continuous (tokens cannot be moved by a gradient)"},
    )
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults from the paper's experiments, with restarts."""

        iterations: Annotated[int, Field(ge=1)] = Field(
            200, description="Outer L-BFGS steps, about 20 evaluations each."
        )
        restarts: Annotated[int, Field(ge=1)] = Field(2, description="Starts tried, until one explains the gradient.")
        records: Annotated[int, Field(ge=1)] = Field(
            8, description="Larger batches are not tried: the paper's largest batch, and the published runs fail there."
        )

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        if shape.classes < 2:
            return ["is for a softmax over at least two classes"]
        if shape.records_per_update > self.params.records:
            return [f"is for at most {self.params.records} records an update; here are {shape.records_per_update}"]
        return []

    def cost(self, shape: TargetShape) -> Cost:
        return Cost(gradient_evaluations=3 * self.params.iterations * self.params.restarts * _INNER)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """As many records as stand behind ``seen``, with their optimised labels.

        Raises:
            AttackFailed: for more records than :attr:`Params.records`, or where no start gave finite values.
        """
        update = as_update(seen)
        if update.records > self.params.records:
            raise AttackFailed(
                f"{update.records} records stand behind the update; at most {self.params.records} are tried"
            )
        generator, tried = context.generator(), []
        problem = _Problem(update, known, context.device)
        for start in range(self.params.restarts):
            tried.append(self._descend(problem, update.records, known, context, generator))
            context.progress((start + 1) / self.params.restarts)
            if tried[-1].distance < _EXPLAINED:
                break
            if context.out_of_time:
                context.shortened.append(f"{len(tried)} of {self.params.restarts} starts began before the deadline")
                break
        best = min(tried, key=lambda trial: trial.distance)
        if not bool(torch.isfinite(best.inputs).all()):
            raise AttackFailed(f"none of {len(tried)} starts of L-BFGS gave finite records")
        return Reconstruction(
            best.inputs.cpu(),
            labels=best.labels.argmax(1).cpu(),
            confidence=best.labels.max(1).values.cpu(),
            objective=best.distance,
            iterations=sum(trial.iterations for trial in tried),
            notes=(f"{len(tried)} starts; relative squared gradient difference {best.distance:.3g}.",),
        )

    def _descend(
        self, problem: "_Problem", records: int, known: Knowledge, context: RunContext, generator: torch.Generator
    ) -> _Trial:
        shape = known.model.shape
        inputs = torch.randn((records, *shape.input_shape), generator=generator).to(context.device).requires_grad_()
        logits = torch.randn((records, shape.classes), generator=generator).to(context.device).requires_grad_()
        optimiser = torch.optim.LBFGS(
            [inputs, logits], max_iter=_INNER, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
        )
        best, done, stalled = _Trial(inputs.detach().clone(), logits.detach().softmax(1), float("inf"), 0), 0, 0

        def closure() -> Tensor:
            optimiser.zero_grad()
            distance = _SCALE * problem.distance(inputs, logits)
            inputs.grad, logits.grad = torch.autograd.grad(distance, [inputs, logits])
            return distance.detach()

        while done < self.params.iterations and stalled < _STALLED and not context.out_of_time:
            distance = float(optimiser.step(closure)) / _SCALE  # type: ignore[no-untyped-call]
            done += 1
            if not distance < best.distance * (1 - 1e-6):
                stalled += 1
                continue
            stalled = 0
            with torch.no_grad():
                now = float(problem.distance(inputs, logits))
            if now < best.distance:
                best = _Trial(inputs.detach().clone(), logits.detach().softmax(1), now, done)
            if now < _CONVERGED:
                break
        return best._replace(iterations=done)


class _Problem:
    """The observed gradient, and what candidates with soft labels would have given."""

    def __init__(self, update: Update, known: Knowledge, device: str) -> None:
        self._model = FunctionalModel(known.model, device=device, batch_norm=update.local.batch_norm)
        self._state = {name: value.detach().to(device) for name, value in update.before.items()}
        gradient = {name: value.to(device) for name, value in mean_gradient(update).items()}
        self._goal = {name: gradient[name] for name in self._model.parameter_names if name in gradient}
        self._energy = sum(float(value.square().sum()) for value in self._goal.values())

    def distance(self, inputs: Tensor, logits: Tensor) -> Tensor:
        """Squared difference of gradients over the squared length of the observed one."""

        def loss(own: dict[str, Tensor]) -> Tensor:
            outputs = self._model.outputs({**self._state, **own}, inputs, training=True)
            return -(logits.softmax(1) * outputs.log_softmax(1)).sum(1).mean()

        made: dict[str, Tensor] = grad(loss)({name: self._state[name] for name in self._goal})
        apart = torch.stack([(made[name] - goal).square().sum() for name, goal in self._goal.items()]).sum()
        return apart / self._energy
