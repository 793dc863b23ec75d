"""How long one gradient takes here: what turns an attack's declared cost into seconds."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from auditor.attacks.base import Cost
from auditor.config.settings import FederationSettings
from auditor.core.shape import TargetShape
from auditor.engine.environment import computing
from auditor.learning.functional import FunctionalModel
from auditor.targets.target import Target

_REPEATS = 3


@dataclass(frozen=True)
class Speed:
    """Measured seconds on this machine.

    Attributes:
        single: One forward and backward pass of one record.
        gradient: The same of :attr:`records` records.
        step: One local training step (one batch).
        record: One forward pass, for each record.
    """

    single: float
    gradient: float
    records: int
    step: float
    record: float

    def gradient_seconds(self, records: int) -> float:
        """One forward and backward pass of so many records: a fixed part and one that grows with them."""
        slope = max(0.0, self.gradient - self.single) / max(1, self.records - 1)
        return self.single + slope * (records - 1)

    def attack_seconds(self, cost: Cost, *, shape: TargetShape) -> float:
        """One observation, reference models not counted."""
        candidates = shape.members + shape.nonmembers
        gradients = cost.gradient_evaluations * self.gradient_seconds(shape.records_per_update)
        return gradients + cost.queries * self.record * candidates

    def watching_seconds(self, federation: FederationSettings, *, shape: TargetShape) -> float:
        """One training watched round by round: a gradient of each candidate, and its loss under each update."""
        candidates = shape.members + shape.nonmembers
        passes = 4 + shape.aggregated_clients  # a gradient costs about three forward passes
        return self.training_seconds(federation, shape=shape) + federation.rounds * candidates * passes * self.record

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

    def forward() -> None:
        with torch.no_grad():
            model.outputs(state, many.inputs)

    with computing(device):
        return Speed(
            single=_median(lambda: model.gradient(state, records[:1], training=False), device),
            gradient=_median(lambda: model.gradient(state, update, training=True), device),
            records=len(update),
            step=_median(lambda: model.gradient(state, batch, training=True), device),
            record=_median(forward, device) / len(many),
        )


def _median(run: Callable[[], object], device: str) -> float:
    run()
    times = []
    for _ in range(_REPEATS):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
