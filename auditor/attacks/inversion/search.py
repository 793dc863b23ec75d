"""Gradient descent on several candidates at once, selected by the matching distance alone."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.distance import Distance
from auditor.attacks.inversion.replay import Replay
from auditor.attacks.inversion.statistics import BatchStatistics
from auditor.attacks.inversion.step_order import better_order, looks_at, taken
from auditor.attacks.inversion.unknowns import Unknowns

_DECAY_AT = (3 / 8, 5 / 8, 7 / 8)
_DECAY = 0.1
_TIMED_STEPS = 3
_TIME_KEPT_BACK = 0.9


@dataclass(frozen=True)
class Schedule:
    """How far and how fast to descend.

    Attributes:
        iterations: Steps of the optimiser.
        learning_rate: First step size, in model units; a tenth of it after 3/8, 5/8 and 7/8 of the steps.
        signed: Use only the sign of the gradient (Geiping et al., 2020), which suits pixels.
    """

    iterations: int
    learning_rate: float
    signed: bool


@dataclass(frozen=True)
class Found:
    """Where the descent ended.

    Attributes:
        inputs: ``(candidates, records, *input_shape)``, hardened.
        labels: ``(candidates, records, ...)``.
        distances: Final matching distance without any prior, ``(candidates,)``.
        iterations: Steps taken.
    """

    inputs: Tensor
    labels: Tensor
    distances: Tensor
    iterations: int


@dataclass(frozen=True)
class Search:
    """The descent of all candidates on distance plus weight times roughness.

    Attributes:
        unknowns, replay, distance: What is searched, how updates are made, what they are compared to.
        weights: Weight of the roughness prior of each candidate, ``(candidates,)``.
        schedule: See :class:`Schedule`.
        free_labels: True to move the labels too (regression targets).
        statistics: Batch-norm statistics to reproduce, or None where none were seen.
        statistics_weight: Weight of their distance.
    """

    unknowns: Unknowns
    replay: Replay
    distance: Distance
    weights: Tensor
    schedule: Schedule
    free_labels: bool = False
    statistics: BatchStatistics | None = None
    statistics_weight: float = 0.0

    def run(self, start: Tensor, labels: Tensor, context: RunContext) -> Found:
        """Descend from ``start`` until the schedule or the time ends; the best iterate of each candidate is kept."""
        free = start.clone().requires_grad_()
        targets = labels.clone().requires_grad_(self.free_labels)
        moved = [free, targets] if self.free_labels else [free]
        optimiser = torch.optim.Adam(moved, lr=self.schedule.learning_rate)
        best, best_labels = start.clone(), labels.clone()
        least = torch.full_like(self.weights, torch.inf)
        steps, began, done = self.schedule.iterations, time.monotonic(), 0
        generator = context.generator()
        while done < steps and not context.out_of_time:
            _set_rate(optimiser, self.schedule.learning_rate, done / steps)
            objective = self._objective(free, targets)
            _keep(objective.detach(), least, (best, free.detach()), (best_labels, targets.detach()))
            self._step(optimiser, objective, moved)
            done += 1
            if self.replay.ordered and looks_at(done, steps):
                self._reorder(optimiser, free, targets, generator)
            if done == _TIMED_STEPS:
                steps = _affordable(steps, context, each=(time.monotonic() - began) / done)
                if steps < self.schedule.iterations:
                    context.shortened.append(
                        f"{steps} of {self.schedule.iterations} iterations fit before the deadline"
                    )
            context.progress(done / steps)
        last = self._objective(free, targets).detach()
        _keep(last, least, (best, free.detach()), (best_labels, targets.detach()))
        inputs = self.unknowns.harden(self.unknowns.decode(best))
        return Found(inputs, best_labels, self.distances(self.unknowns.decode(best), best_labels), done)

    def distances(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Matching distance of each candidate without the prior."""
        with torch.no_grad():
            return self.distance(self.replay.updates(inputs, labels)).detach()

    def _reorder(
        self, optimiser: torch.optim.Optimizer, free: Tensor, labels: Tensor, generator: torch.Generator
    ) -> None:
        """Move records to the local steps where they fit better, with all that the optimiser remembers of them."""
        inputs = self.unknowns.decode(free.detach())
        order = better_order(self.distances, inputs, labels.detach(), generator=generator)
        for tensor in (free, labels):
            kept = [value for value in optimiser.state.get(tensor, {}).values() if value.shape == tensor.shape]
            for value in (tensor.detach(), *kept):
                value.copy_(taken(value.clone(), order))

    def _objective(self, free: Tensor, labels: Tensor) -> Tensor:
        inputs = self.unknowns.decode(free)
        total = self.distance(self.replay.updates(inputs, labels)) + self.weights * self.unknowns.roughness(inputs)
        if self.statistics is not None:
            apart = self.statistics.distance(inputs, batched=self.replay.batched)
            total = total + self.statistics_weight * apart
        return total

    def _step(self, optimiser: torch.optim.Optimizer, objective: Tensor, moved: list[Tensor]) -> None:
        optimiser.zero_grad()
        slopes = torch.autograd.grad(objective.sum(), moved)
        for tensor, slope in zip(moved, slopes, strict=True):
            slope = torch.nan_to_num(slope)
            tensor.grad = slope.sign() if self.schedule.signed else slope
        optimiser.step()
        with torch.no_grad():
            self.unknowns.project_(moved[0])


def _set_rate(optimiser: torch.optim.Optimizer, rate: float, progress: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * _DECAY ** sum(progress >= at for at in _DECAY_AT)


def _keep(now: Tensor, least: Tensor, *pairs: tuple[Tensor, Tensor]) -> None:
    """Where ``now`` is less than ``least``, copy the second of each pair into the first, in place."""
    better = now < least
    least[better] = now[better]
    for kept, current in pairs:
        kept[better] = current[better]


def _affordable(steps: int, context: RunContext, *, each: float) -> int:
    """Steps that fit before the deadline, so that the schedule can still end with small steps."""
    if context.deadline is None:
        return steps
    left = max(0.0, context.deadline - time.monotonic()) * _TIME_KEPT_BACK
    return max(_TIMED_STEPS + 1, min(steps, _TIMED_STEPS + int(left / max(each, 1e-6))))


def probe(make: Callable[[bool], Search], start: Tensor, labels: Tensor, *, wanted: bool | None = None) -> Search:
    """The batched or the serial search: the one ``wanted``, or whichever takes a step faster on this device.

    On CPUs batching candidates helps small networks and hurts larger ones, so it is measured, once. A model that
    cannot be batched (e.g. BatchNorm that tracks statistics in place) runs serially. Factored gradients need no
    measurement: they do less work in every case, also for a single candidate.
    """
    if start.shape[0] == 1 or wanted is False:
        return make(False)
    if (factored := make(True)).replay.factored is not None:
        return factored
    if wanted:
        return make(_can_batch(make(True), start, labels))
    seconds: dict[bool, float] = {}
    for batched in (True, False):
        search = make(batched)
        free = start.clone().requires_grad_()
        try:
            for _ in range(2):
                began = time.perf_counter()
                torch.autograd.grad(search._objective(free, labels).sum(), free)
                seconds[batched] = time.perf_counter() - began
        except RuntimeError:
            if not batched:
                raise
            seconds[batched] = float("inf")
    return make(seconds[True] <= seconds[False])


def _can_batch(search: Search, start: Tensor, labels: Tensor) -> bool:
    try:
        search.distances(search.unknowns.decode(start), labels)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        return False
    return True
