"""Train many models of one architecture at once: a stack of states, one vectorised program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from auditor.learning.functional import FunctionalModel
from auditor.learning.local import Trained, optimiser_of, train_locally, usable_batches
from auditor.learning.optimisers import Memory
from auditor.learning.per_record import math_attention
from auditor.learning.randomness import seeded
from auditor.observations.model import LocalTraining, State
from auditor.observations.records import Records

TOLERANCE = 2e-4
"""Largest difference of a parameter between the vectorised and the serial path that the probe accepts.

Both compute the same sums in another order; in single precision, after a few steps, they differ by at most this
(measured for MLPs and CNNs of up to 30,000 parameters; mostly 1e-6).
"""


@dataclass(frozen=True)
class Job:
    """One model to train.

    Attributes:
        state: Where it starts.
        batches: Indices into the shared records, one tensor a step.
        seed: For dropout on the serial path.
    """

    state: State
    batches: Sequence[Tensor]
    seed: int | None = None


@dataclass(frozen=True)
class _Stack:
    """States of the jobs that still train, stacked; rows are ordered by number of steps, longest first.

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

    def first(self, rows: int) -> "_Stack":
        """The first rows alone; the others are done."""
        return _Stack(
            tuple(p[:rows] for p in self.parameters),
            {name: tensor[:rows] for name, tensor in self.rest.items()},
            tuple(s[:rows] for s in self.start),
            Memory(
                tuple(m[:rows] for m in self.memory.first),
                tuple(m[:rows] for m in self.memory.second),
                self.memory.steps,
            ),
        )


def train_stacked(
    model: FunctionalModel,
    jobs: Sequence[Job],
    records: Records,
    recipe: LocalTraining,
    *,
    seed: int | None = None,
) -> list[Trained]:
    """The results of :func:`auditor.learning.local.train_locally` for each job, computed as one tensor program.

    Equal to the serial path within :data:`TOLERANCE`; with dropout in distribution only, for the masks differ.
    Jobs may have different numbers of steps and batch sizes: short batches are padded with records of weight zero,
    which is exact unless BatchNorm mixes the records of a batch (see :func:`why_not_stacked`).

    Args:
        model: The shared model.
        jobs: What to train.
        records: Shared by all jobs.
        recipe: Shared by all jobs.
        seed: For dropout; None = torch's own generator.
    """
    if not jobs:
        return []
    model = model.with_batch_norm(recipe.batch_norm)
    plans = [usable_batches(model, job.batches) for job in jobs]
    order = sorted(range(len(jobs)), key=lambda i: -len(plans[i]))
    stack = _stacked(model, [jobs[i] for i in order], recipe)
    step_all = _vectorised(model)
    done: dict[int, Trained] = {}
    losses: list[Tensor] = []
    with seeded(seed, device=model.device), math_attention():
        for step in range(len(plans[order[0]]) + 1):
            active = sum(len(plan) > step for plan in plans)
            for row in range(active, len(stack.parameters[0])):
                done[order[row]] = _finished(model, stack, row, [each[row] for each in losses])
            if active == 0:
                break
            stack = stack.first(active)
            batches = [plans[i][step] for i in order[:active]]
            stack, loss = _step(model, stack, step_all, _batched(model, records, batches), recipe)
            losses.append(loss)
    return [done[i] for i in range(len(jobs))]


def why_not_stacked(model: FunctionalModel, jobs: Sequence[Job], recipe: LocalTraining) -> str:
    """Why the vectorised path would not compute the same; empty where it would."""
    model = model.with_batch_norm(recipe.batch_norm)
    if not model.mixes_records:
        return ""
    plans = [usable_batches(model, job.batches) for job in jobs]
    steps = zip_longest(*([len(batch) for batch in plan] for plan in plans))
    if any(len(set(sizes) - {None}) > 1 for sizes in steps):
        return "BatchNorm in train mode needs batches of equal size"
    return ""


def train_serially(
    model: FunctionalModel, jobs: Sequence[Job], records: Records, recipe: LocalTraining
) -> list[Trained]:
    """Job after job with the scratch module."""
    return [train_locally(model, job.state, records, recipe, batches=job.batches, seed=job.seed) for job in jobs]


class _Batches(NamedTuple):
    """One batch for each model: inputs and labels ``(models, longest, ...)``, weights ``(models, longest)``."""

    inputs: Tensor
    labels: Tensor
    weights: Tensor


_StepAll = Callable[..., tuple[dict[str, Tensor], tuple[Tensor, dict[str, Tensor]]]]


def _vectorised(model: FunctionalModel) -> _StepAll:
    """Gradient, and loss with new buffers, of every model of a stack on its own weighted batch."""

    def loss(
        parameters: dict[str, Tensor], rest: dict[str, Tensor], inputs: Tensor, labels: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        moving = {name: tensor.clone() for name, tensor in rest.items()}
        outputs = functional_call(model.module, {**parameters, **moving}, (inputs,))
        return (model.loss(outputs, labels) * weights).sum(), moving

    model.set_mode(training=True)
    each: _StepAll = vmap(grad_and_value(loss, has_aux=True), randomness="different")
    return each


def _stacked(model: FunctionalModel, jobs: Sequence[Job], recipe: LocalTraining) -> _Stack:
    states = [model.complete(job.state) for job in jobs]
    parameters = tuple(torch.stack([state[name] for state in states]) for name in model.trainable)
    others = (*model.buffer_names, *model.fixed_names)
    rest = {name: torch.stack([state[name] for state in states]) for name in others}
    return _Stack(parameters, rest, parameters, optimiser_of(recipe).start(parameters))


def _step(
    model: FunctionalModel, stack: _Stack, step_all: _StepAll, batches: _Batches, recipe: LocalTraining
) -> tuple[_Stack, Tensor]:
    named = dict(zip(model.trainable, stack.parameters, strict=True))
    found, (loss, rest) = step_all(named, stack.rest, *batches)
    gradients = [found[name].detach() for name in model.trainable]
    if recipe.proximal:
        pulled = zip(gradients, stack.parameters, stack.start, strict=True)
        gradients = [g + recipe.proximal * (p - s) for g, p, s in pulled]
    stepped = optimiser_of(recipe).step(stack.parameters, gradients, stack.memory)
    return _Stack(stepped.parameters, rest, stack.start, stepped.memory), loss.detach()


def _batched(model: FunctionalModel, records: Records, batches: Sequence[Tensor]) -> _Batches:
    """Short batches are filled up with record 0 at weight zero; weights average each model's own records."""
    index = torch.nn.utils.rnn.pad_sequence(list(batches), batch_first=True)
    sizes = torch.tensor([len(batch) for batch in batches]).unsqueeze(1)
    weights = (torch.arange(index.shape[1]) < sizes) / sizes.to(model.dtype)
    part = records[index.to(records.inputs.device)]
    return _Batches(model.cast(part.inputs), part.labels, weights.to(model.device))


def _finished(model: FunctionalModel, stack: _Stack, row: int, losses: list[Tensor]) -> Trained:
    named = dict(zip(model.trainable, stack.parameters, strict=True))
    state = {name: tensor[row].clone() for name, tensor in {**named, **stack.rest}.items()}
    return Trained(state, torch.stack(losses) if losses else stack.parameters[0].new_zeros(0))
