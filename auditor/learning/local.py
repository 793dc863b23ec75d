"""What a client computes in a round: local optimiser steps from the state that it received."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from auditor.core.seeds import derive_seed
from auditor.learning.functional import FunctionalModel
from auditor.learning.optimisers import Memory, Optimiser
from auditor.learning.randomness import seeded
from auditor.observations.model import LocalTraining, State
from auditor.observations.records import Records


class Trained(NamedTuple):
    """What local training gives.

    Attributes:
        state: After the last step.
        losses: Mean loss of each step's batch before that step, shape ``(steps,)``.
        gradient: Of the last step, without the proximal term; empty where no step was taken.
        memory: The optimiser's, after the last step; empty where it was not kept.
    """

    state: dict[str, Tensor]
    losses: Tensor
    gradient: dict[str, Tensor]
    memory: Memory = Memory()


def batch_order(n: int, recipe: LocalTraining, seed: int) -> list[Tensor]:
    """Which records each local step uses: index tensors over all epochs, a fresh shuffle in each.

    The last batch of an epoch may be smaller. FedSGD uses one batch. No records give no batch.
    """
    if n == 0:
        return []
    epochs = 1 if recipe.algorithm == "fedsgd" else recipe.epochs
    order: list[Tensor] = []
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(derive_seed(seed, "epoch", epoch))
        shuffled = torch.randperm(n, generator=generator)
        order += [shuffled[i : i + recipe.batch_size] for i in range(0, n, recipe.batch_size)]
    return order[:1] if recipe.algorithm == "fedsgd" else order


def usable_batches(model: FunctionalModel, batches: Sequence[Tensor]) -> list[Tensor]:
    """Batches that a step can be taken on; the others are left out, as loaders do with ``drop_last``."""
    return [batch for batch in batches if len(batch) >= model.least_batch]


def optimiser_of(recipe: LocalTraining) -> Optimiser:
    """The client's optimiser."""
    return Optimiser(recipe.optimizer, recipe.learning_rate, recipe.momentum)


def local_training(
    model: FunctionalModel,
    state: State,
    records: Records,
    recipe: LocalTraining,
    *,
    batches: Sequence[Tensor],
    differentiable: bool = False,
    seed: int | None = None,
) -> dict[str, Tensor]:
    """The state after the client's steps; see :func:`train_locally`."""
    return train_locally(model, state, records, recipe, batches=batches, differentiable=differentiable, seed=seed).state


def train_locally(
    model: FunctionalModel,
    state: State,
    records: Records,
    recipe: LocalTraining,
    *,
    batches: Sequence[Tensor],
    differentiable: bool = False,
    seed: int | None = None,
) -> Trained:
    """Run one optimiser step for each of ``batches``.

    McMahan et al., 2017, arXiv:1602.05629, ClientUpdate; with ``recipe.proximal`` the gradient gains
    ``proximal * (w - w_received)`` (FedProx, Li et al., 2020, arXiv:1812.06127).

    Args:
        model: The shared model; BatchNorm follows ``recipe.batch_norm``.
        state: What the client received; unchanged afterwards.
        records: The client's records.
        recipe: Optimiser and its rates.
        batches: Index tensors into ``records``, e.g. from :func:`batch_order`; see :func:`usable_batches`.
        differentiable: Keep the graph, so that the result can be differentiated in ``records.inputs`` and ``state``.
        seed: For dropout; None = torch's own generator.
    """
    model = model.with_batch_norm(recipe.batch_norm)
    used = usable_batches(model, batches)
    with seeded(seed, device=model.device):
        if differentiable:
            return _unrolled(model, state, records, recipe, used)
        return _in_place(model, state, records, recipe, used)


def _unrolled(
    model: FunctionalModel, state: State, records: Records, recipe: LocalTraining, batches: Sequence[Tensor]
) -> Trained:
    names, optimiser = model.trainable, optimiser_of(recipe)
    start = tuple(state[name] for name in names)
    current, memory, losses = dict(state), optimiser.start(start), []
    last: dict[str, Tensor] = {}
    for batch in batches:
        found = model.evaluate(current, records[batch], training=True, create_graph=True)
        held = tuple(current[name] for name in names)
        gradients = with_proximal(tuple(found.gradient[name] for name in names), held, start, recipe.proximal)
        stepped = optimiser.step(held, gradients, memory)
        memory = stepped.memory
        current = {**current, **dict(zip(names, stepped.parameters, strict=True)), **found.buffers}
        last = found.gradient
        losses.append(found.loss)
    return Trained(current, torch.stack(losses) if losses else start[0].new_zeros(0), last, memory)


def _in_place(
    model: FunctionalModel, state: State, records: Records, recipe: LocalTraining, batches: Sequence[Tensor]
) -> Trained:
    """The same steps on the scratch module: no graph is kept and no state is copied between steps."""
    module, optimiser = model.load(state, training=True), optimiser_of(recipe)
    named = dict(module.named_parameters())
    weights = [named[name] for name in model.trainable]
    start = tuple(weight.detach().clone() for weight in weights) if recipe.proximal else ()
    memory, losses = optimiser.start([w.detach() for w in weights]), []
    last: dict[str, Tensor] = {}
    for batch in batches:
        loss = model.loss(module(model.cast(records.inputs[batch])), records.labels[batch]).mean()
        gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
        last = dict(zip(model.trainable, gradients, strict=True))
        with torch.no_grad():
            if recipe.proximal:
                gradients = with_proximal(gradients, tuple(weights), start, recipe.proximal)
            stepped = optimiser.step([w.detach() for w in weights], gradients, memory)
            memory = stepped.memory
            for weight, moved in zip(weights, stepped.parameters, strict=True):
                weight.copy_(moved)
        losses.append(loss.detach())
    return Trained(model.snapshot(), torch.stack(losses) if losses else weights[0].new_zeros(0), last, memory)


def with_proximal(
    gradients: tuple[Tensor, ...], held: Sequence[Tensor], start: Sequence[Tensor], proximal: float
) -> tuple[Tensor, ...]:
    """Gradients with FedProx' pull back to ``start``."""
    if not proximal:
        return gradients
    return tuple(g + proximal * (h - s) for g, h, s in zip(gradients, held, start, strict=True))
