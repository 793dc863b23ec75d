"""How long one gradient takes here: what turns an attack's declared cost into seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.attacks.base import Cost
from auditor.config.settings import FederationSettings
from auditor.core.shape import TargetShape
from auditor.engine.environment import computing
from auditor.learning.functional import FunctionalModel
from auditor.targets.target import Target

_REPEATS = 5

REFERENCE = 0.006
"""Seconds of :func:`_product` on the machine on which :attr:`Cost.seconds` of the attacks were measured."""

_TOGETHER = 64
_GRADIENT_VALUES = 2**24
"""Records, and values of their gradients, that are computed at once to time one of them."""


@dataclass(frozen=True)
class Speed:
    """Measured seconds on this machine; on its CPU, seconds of one core, which other programs do not lengthen.

    Attributes:
        single: One forward and backward pass of one record.
        gradient: The same of :attr:`records` records.
        step: One local training step (one batch).
        record: One forward pass, for each record.
        row: One gradient of a single record among many at once; None = as :attr:`single`.
        pace: How many times as long as on the machine of :data:`REFERENCE` work without the model takes.
    """

    single: float
    gradient: float
    records: int
    step: float
    record: float
    row: float | None = None
    pace: float = 1.0

    @property
    def row_seconds(self) -> float:
        """One gradient of a single record among many at once."""
        return self.single if self.row is None else self.row

    def gradient_seconds(self, records: int) -> float:
        """One forward and backward pass of so many records: a fixed part and one that grows with them."""
        slope = max(0.0, self.gradient - self.single) / max(1, self.records - 1)
        return self.single + slope * (records - 1)

    def attack_seconds(self, cost: Cost, *, shape: TargetShape) -> float:
        """One observation, reference models not counted."""
        candidates = shape.members + shape.nonmembers
        gradients = cost.gradient_evaluations * self.gradient_seconds(shape.records_per_update)
        rows = cost.record_gradients * self.row_seconds
        return gradients + rows + cost.queries * self.record * candidates + cost.seconds * self.pace

    def watching_seconds(self, federation: FederationSettings, *, shape: TargetShape) -> float:
        """One training watched round by round: a gradient of each candidate, and its loss under each update."""
        candidates = shape.members + shape.nonmembers
        # Comparing a gradient costs about what making it does, and a state that is new to the processor doubles a loss.
        each = 2 * self.row_seconds + 2 * (2 + shape.aggregated_clients) * self.record
        return self.training_seconds(federation, shape=shape) + federation.rounds * candidates * each

    def training_seconds(self, federation: FederationSettings, *, shape: TargetShape) -> float:
        """One model trained with the whole federation."""
        taking_part = federation.participation
        clients = taking_part.count or federation.clients * (taking_part.rate or 1.0)
        return federation.rounds * clients * max(shape.local_steps, 1) * self.step


def measure_speed(target: Target, federation: FederationSettings, *, device: str) -> Speed:
    """Time a few passes of the target's own model on its own records."""
    model = FunctionalModel(target.model, device=device)
    state = model.initial_state(0)
    records = target.members.to(device)
    update = records[: max(1, target.model.shape.records_per_update)]
    batch = records[: federation.local.batch_size]
    many = records[:256]
    single = FunctionalModel(target.model, device=device, batch_norm="eval")
    together = records[: max(1, min(_TOGETHER, _GRADIENT_VALUES // max(1, target.model.shape.parameters)))]

    def forward() -> None:
        with torch.no_grad():
            model.outputs(state, many.inputs)

    with computing(device):
        return Speed(
            single=_fastest(lambda: model.gradient(state, records[:1], training=False), device),
            gradient=_fastest(lambda: model.gradient(state, update, training=True), device),
            records=len(update),
            step=_fastest(lambda: model.gradient(state, batch, training=True), device),
            record=_fastest(forward, device) / len(many),
            row=_fastest(lambda: single.per_record_gradients(state, together), device) / len(together),
            pace=_fastest(_product, "cpu") / REFERENCE,
        )


def _product() -> Tensor:
    """A product of two matrices in double precision."""
    matrix = torch.ones(512, 512, dtype=torch.float64)
    return matrix @ matrix


def _fastest(run: Callable[[], object], device: str) -> float:
    """The shortest of some runs after one to warm up: what disturbs a run only ever lengthens it."""
    run()
    clock = time.thread_time if device == "cpu" else time.perf_counter
    times = []
    for _ in range(_REPEATS):
        _wait(device)
        start = clock()
        run()
        _wait(device)
        times.append(clock() - start)
    return min(times)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
