"""What a client sends in a round."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from auditor.config.settings import FederationSettings
from auditor.core.seeds import derive_seed
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import Trained, batch_order, train_locally, usable_batches
from auditor.learning.randomness import seeded
from auditor.observations.model import LocalTraining, State
from auditor.observations.records import Records
from auditor.simulation.compression import compress, sent_names
from auditor.simulation.errors import SimulationError
from auditor.simulation.mechanisms import Mechanism
from auditor.simulation.meter import Meter, total_norm
from auditor.simulation.private_steps import PrivateSteps, expected_batch, private_batches
from auditor.simulation.recipe import local_recipe


@dataclass(frozen=True)
class Sent:
    """What leaves a client.

    Attributes:
        update: By parameter name; gradient (FedSGD) or difference.
        buffers: BatchNorm statistics after local training.
        noise: The noise inside ``update`` that the client added to it as a whole; empty without.
        used: Indices of the client's records that stand behind the update.
        losses: Mean loss of each local step's batch.
        recipe: What the client did.
        weight: How much the client counts in a record-weighted mean. Never the number that Poisson sampling drew,
            which depends on chance and data.
        length: L2 norm of the update before client-level clipping; None without.
    """

    update: dict[str, Tensor]
    buffers: dict[str, Tensor]
    noise: dict[str, Tensor]
    used: Tensor
    losses: Tensor
    recipe: LocalTraining
    weight: float
    length: float | None = None


class ClientTask(NamedTuple):
    """What one client will do in one round.

    Attributes:
        client: Its number.
        seed: Of this client in this round.
        records: How many it holds.
        recipe: Its optimiser steps.
        batches: Indices into its records, one tensor a step.
    """

    client: int
    seed: int
    records: int
    recipe: LocalTraining
    batches: list[Tensor]


class Work(NamedTuple):
    """A raw update, buffers after it, and the mean loss of each step."""

    update: dict[str, Tensor]
    buffers: dict[str, Tensor]
    losses: Tensor


class Clients:
    """Does the work of every client, one after the other, with one module.

    The order in which an update is made:

    1. local training, in which ``dp_sgd`` clips and adds noise;
    2. without client-level clipping: layers, pruning, top-k, quantisation;
    3. ``dp_fedavg``, ``dp_ftrl``: the same, then clipping, so that no rounding lifts the norm above its bound;
    4. ``local``, ``distributed``: layers, clipping, noise, then pruning, top-k and quantisation, which as
       post-processing cannot weaken the bound.
    """

    def __init__(
        self, model: FunctionalModel, federation: FederationSettings, mechanism: Mechanism, meter: Meter
    ) -> None:
        self._model = model.with_batch_norm(federation.batch_norm)
        self._federation = federation
        self.mechanism = mechanism
        self._meter = meter
        self._private = PrivateSteps(self._model, mechanism, meter)
        self.sent_names = sent_names(federation.update, self._model.trainable)

    @property
    def kind(self) -> str:
        """``gradient`` or ``difference``."""
        return "gradient" if self._federation.algorithm == "fedsgd" else "difference"

    def work(self, state: State, records: Records, *, client: int, seed: int, norm: float | None = None) -> Sent:
        """One client's round.

        Args:
            state: What the client received.
            records: All its records; at least one.
            client: Its number.
            seed: Of this client in this round.
            norm: Clipping norm in force, for client-level mechanisms.
        """
        task = self.task(len(records), client=client, seed=seed)
        return self.send(task, self.do(state, records, task), norm=norm)

    def task(self, records: int, *, client: int, seed: int) -> ClientTask:
        """What a client with so many records will do."""
        recipe = local_recipe(self._federation, records)
        if self.mechanism.clipped == "record":
            batches = private_batches(records, recipe, self.mechanism.privacy.sampling, seed)
        else:
            batches = usable_batches(self._model, batch_order(records, recipe, seed))
            if self.kind == "gradient" and not batches:
                raise SimulationError(
                    f"Client {client} holds a single record, and BatchNorm in train mode needs two.",
                    remedy="Set federation.batch_norm to 'eval' or 'frozen', or lower federation.clients.",
                )
            recipe = replace(recipe, steps=len(batches))
        return ClientTask(client, seed, records, recipe, batches)

    def trained(self, before: State, after: Trained) -> Work:
        """Local training as work: its last gradient for FedSGD, which takes one step, else the difference."""
        if self.kind == "gradient":
            update = after.gradient
        else:
            update = {name: after.state[name] - before[name] for name in self._model.trainable}
        return Work(update, {name: after.state[name] for name in self._model.buffer_names}, after.losses)

    def send(self, task: ClientTask, work: Work, *, norm: float | None) -> Sent:
        """Clip, add noise and compress, in the order that the class states."""
        chosen = {name: work.update[name] for name in self.sent_names}
        if self.mechanism.clipped == "client" and norm is not None:
            bounded = self._bounded(chosen, norm, seed=task.seed)
        else:
            bounded = _Bounded(compress(chosen, self._federation.update), {}, None)
        used = torch.unique(torch.cat(task.batches)) if task.batches else torch.zeros(0, dtype=torch.int64)
        weight = float(self._gradient_size(task) if self.kind == "gradient" else task.records)
        return Sent(bounded.update, work.buffers, bounded.noise, used, work.losses, task.recipe, weight, bounded.length)

    def do(self, state: State, records: Records, task: ClientTask) -> Work:
        """The client's work on its records, before anything leaves it."""
        if self.mechanism.clipped == "record":
            done = self._private.train(
                state, records, task.recipe, batches=task.batches, client=task.client, seed=task.seed
            )
            return self.trained(state, done)
        if self.kind == "gradient":
            return self._gradient(state, records, task)
        dropout = derive_seed(task.seed, "dropout")
        after = train_locally(self._model, state, records, task.recipe, batches=task.batches, seed=dropout)
        return self.trained(state, after)

    def _gradient(self, state: State, records: Records, task: ClientTask) -> Work:
        with seeded(derive_seed(task.seed, "dropout"), device=self._model.device):
            found = self._model.evaluate(state, records[task.batches[0]], training=True)
        return Work(found.gradient, found.buffers, found.loss.detach().reshape(1))

    def _gradient_size(self, task: ClientTask) -> int:
        sampling = self.mechanism.privacy.sampling if self.mechanism.clipped == "record" else None
        return expected_batch(task.records, task.recipe, sampling)

    def _bounded(self, update: dict[str, Tensor], norm: float, *, seed: int) -> "_Bounded":
        """Client-level clipping and the client's own noise, with compression in its place."""
        compression, factor = self._federation.update, self.mechanism.client_factor
        if not factor:
            return self._clip(compress(update, compression), norm)
        clipped = self._clip(update, norm)
        generator = torch.Generator(self._model.device).manual_seed(derive_seed(seed, "noise"))
        noise = gaussian(update, factor * self.mechanism.applied_multiplier * norm, generator)
        noisy = {name: value + noise[name] for name, value in clipped.update.items()}
        return clipped._replace(update=compress(noisy, compression), noise=noise)

    def _clip(self, update: dict[str, Tensor], norm: float) -> "_Bounded":
        clipped = clip_update(update, norm, per_layer=self.mechanism.clipping.kind == "per_layer")
        before, after = float(total_norm(update.values())), float(total_norm(clipped.values()))
        self._meter.contribution(before, after)
        return _Bounded(clipped, {}, before)


class _Bounded(NamedTuple):
    update: dict[str, Tensor]
    noise: dict[str, Tensor]
    length: float | None


def clip_update(update: State, norm: float, *, per_layer: bool = False) -> dict[str, Tensor]:
    """Scale a whole update (or each of its L tensors, to ``norm / sqrt(L)``) down to ``norm``."""
    if per_layer:
        each = norm / len(update) ** 0.5
        return {name: value * _factor(value.norm(), each) for name, value in update.items()}
    factor = _factor(total_norm(update.values()), norm)
    return {name: value * factor for name, value in update.items()}


def gaussian(like: State, std: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Independent Gaussian noise of the shapes of ``like``."""
    return {
        name: torch.randn(value.shape, generator=generator, device=value.device, dtype=value.dtype) * std
        for name, value in like.items()
    }


def _factor(length: Tensor, norm: float) -> Tensor:
    # The small constant keeps rounding from lifting the result above the bound; Opacus does the same.
    return (norm / (length + 1e-6 * norm)).clamp(max=1.0)
