"""A stack of models of one architecture, stepped as one tensor program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from auditor.learning.functional import FunctionalModel
from auditor.learning.local import Trained, optimiser_of, with_proximal
from auditor.learning.optimisers import Memory
from auditor.observations.model import LocalTraining, State
from auditor.observations.records import Records


@dataclass(frozen=True)
class Stack:
    """States of the models that still train; the first axis of each tensor counts them.

    Attributes:
        parameters: What is trained.
        rest: Buffers and fixed parameters.
        start: ``parameters`` before the first step, for the proximal term.
        memory: The optimiser's.
    """

    parameters: tuple[Tensor, ...]
    rest: dict[str, Tensor]
    start: tuple[Tensor, ...]
    memory: Memory

    @classmethod
    def of(cls, model: FunctionalModel, states: Sequence[State], recipe: LocalTraining) -> "Stack":
        """The stack of ``states``."""
        whole = [model.complete(state) for state in states]
        parameters = tuple(torch.stack([state[name] for state in whole]) for name in model.trainable)
        others = (*model.buffer_names, *model.fixed_names)
        rest = {name: torch.stack([state[name] for state in whole]) for name in others}
        return cls(parameters, rest, parameters, optimiser_of(recipe).start(parameters))

    def __len__(self) -> int:
        return len(self.parameters[0])

    def first(self, rows: int) -> "Stack":
        """The first rows alone."""
        return Stack(
            tuple(p[:rows] for p in self.parameters),
            {name: tensor[:rows] for name, tensor in self.rest.items()},
            tuple(s[:rows] for s in self.start),
            Memory(
                tuple(m[:rows] for m in self.memory.first),
                tuple(m[:rows] for m in self.memory.second),
                self.memory.steps,
            ),
        )


class Batches(NamedTuple):
    """One batch for each model: inputs and labels ``(models, longest, ...)``, ``real`` bool ``(models, longest)``."""

    inputs: Tensor
    labels: Tensor
    real: Tensor

    @classmethod
    def of(cls, model: FunctionalModel, records: Records, batches: Sequence[Tensor]) -> "Batches":
        """Batches side by side, short ones filled up with copies of record 0 that are not ``real``."""
        index = torch.nn.utils.rnn.pad_sequence(list(batches), batch_first=True)
        index = index if index.shape[1] else torch.zeros(len(batches), 1, dtype=torch.int64)
        sizes = torch.tensor([len(batch) for batch in batches]).unsqueeze(1)
        part = records[index.to(records.inputs.device)]
        real = (torch.arange(index.shape[1]) < sizes).to(model.device)
        return cls(model.cast(part.inputs), part.labels, real)


class StackGradient(NamedTuple):
    """Gradients in the order of the trainable parameters, mean losses ``(models,)``, and what ``rest`` becomes."""

    gradients: Sequence[Tensor]
    losses: Tensor
    rest: dict[str, Tensor]


GradientOf = Callable[[Stack, Sequence[int], Sequence[Tensor]], StackGradient]
"""(stack, which jobs its rows are, their batches) -> gradient of each row."""


def run_stack(
    model: FunctionalModel,
    states: Sequence[State],
    plans: Sequence[Sequence[Tensor]],
    recipe: LocalTraining,
    gradient_of: GradientOf,
) -> list[Trained]:
    """Step every model through its plan; models with shorter plans leave the stack early.

    Args:
        model: The shared model, with the recipe's BatchNorm behaviour.
        states: Where each starts.
        plans: Batches of each, one a step.
        recipe: Optimiser and proximal term.
        gradient_of: The gradient that each step uses.
    """
    order = sorted(range(len(states)), key=lambda i: -len(plans[i]))
    stack = Stack.of(model, [states[i] for i in order], recipe)
    done: dict[int, Trained] = {}
    losses: list[Tensor] = []
    gradients: Sequence[Tensor] = [torch.zeros_like(p) for p in stack.parameters]
    for step in range(len(plans[order[0]]) + 1):
        active = sum(len(plan) > step for plan in plans)
        for row in range(active, len(stack)):
            done[order[row]] = _row(model, stack, row, losses, gradients)
        if active == 0:
            break
        rows = order[:active]
        stack, gradients, loss = _step(stack.first(active), rows, [plans[i][step] for i in rows], recipe, gradient_of)
        losses.append(loss)
    return [done[i] for i in range(len(states))]


def _step(
    stack: Stack, rows: Sequence[int], batches: Sequence[Tensor], recipe: LocalTraining, gradient_of: GradientOf
) -> tuple[Stack, Sequence[Tensor], Tensor]:
    found = gradient_of(stack, rows, batches)
    pulled = with_proximal(tuple(found.gradients), stack.parameters, stack.start, recipe.proximal)
    stepped = optimiser_of(recipe).step(stack.parameters, pulled, stack.memory)
    return Stack(stepped.parameters, found.rest, stack.start, stepped.memory), found.gradients, found.losses


def _row(
    model: FunctionalModel, stack: Stack, row: int, losses: Sequence[Tensor], gradients: Sequence[Tensor]
) -> Trained:
    named = dict(zip(model.trainable, stack.parameters, strict=True))
    state = {name: tensor[row].clone() for name, tensor in {**named, **stack.rest}.items()}
    gradient = {name: tensor[row].clone() for name, tensor in zip(model.trainable, gradients, strict=True)}
    empty = stack.parameters[0].new_zeros(0)
    return Trained(state, torch.stack([each[row] for each in losses]) if losses else empty, gradient)
