"""Canary clients in one training of the user's model: the one-shot estimate of client-level epsilon."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from auditor.auditing.canaries import gradient_canaries
from auditor.auditing.mechanism import LENGTH
from auditor.config.settings import FederationSettings, PartitionSettings, PrivacySettings
from auditor.core.seeds import derive_seed
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.simulation.clients import Work
from auditor.simulation.play import Play


def play_clients(
    federation: FederationSettings,
    privacy: PrivacySettings,
    model: SharedModel,
    members: Records,
    *,
    groups: Tensor | None,
    canaries: int,
    seed: int,
    device: str = "cpu",
) -> Tensor:
    """Train as declared with canary clients among the others, and read their directions off the final model.

    Andrew et al., 2023, arXiv:2302.03098, algorithm 1: each canary client sends a random direction of its own, long
    enough to be clipped, whenever it takes part. Rates of participation stay as declared.

    Args:
        federation, privacy, model, members, groups: As the audited model is trained.
        canaries: Clients that are added.

    Returns:
        Cosine of each canary with the way from the first model to the last, in standard deviations of a direction that
        was never in: ``sqrt(parameters)`` times the cosine, ``(canaries,)``.

    Raises:
        SimulationError, Diverged: as for any training.
    """
    larger = _with_more(federation, canaries)
    functional = FunctionalModel(model, device=device, batch_norm=federation.batch_norm)
    own = Play.prepared(federation, privacy, functional, members, groups=groups, seed=seed)
    like = torch.arange(max(1, len(members) // federation.clients))
    play = Play.prepared(larger, privacy, functional, members, groups=groups, seed=seed)
    play = replace(play, parts=[*own.parts, *([like] * canaries)])
    first = state = play.start(None)
    names = play.clients.sent_names
    size = sum(first[name].numel() for name in names)
    directions = gradient_canaries(canaries, size, norm=1.0, seed=derive_seed(seed, "directions"))
    sign = -1.0 if play.clients.kind == "gradient" else 1.0  # a gradient is subtracted
    for number in range(larger.rounds):
        cohort, length = play.cohort(number), LENGTH * (play.server.norm or 1.0)
        works = [
            play.client_work(state, task)
            if task.client < federation.clients
            else _canary(sign * length * directions[task.client - federation.clients], state, names, functional)
            for task in cohort.tasks
        ]
        state, _ = play.finish(state, cohort, works)
    moved = torch.cat([(state[name] - first[name]).flatten() for name in names]).cpu().double()
    cosines: Tensor = (directions.double() @ moved) / moved.norm().clamp_min(1e-300)
    return math.sqrt(size) * cosines


def _with_more(federation: FederationSettings, added: int) -> FederationSettings:
    """More clients at the same rates, rounded so that nobody takes part more often."""
    who, secure = federation.participation, federation.aggregation.secure
    clients = federation.clients + added

    def scaled(count: int | None) -> int | None:
        return None if count is None else max(1, count * clients // federation.clients)

    return federation.model_copy(
        update={
            "clients": clients,
            "partition": PartitionSettings(),
            "participation": who.model_copy(update={"count": scaled(who.count)}),
            "aggregation": federation.aggregation.model_copy(
                update={"secure": secure.model_copy(update={"threshold": scaled(secure.threshold)})}
            ),
        }
    )


def _canary(flat: Tensor, state: State, names: tuple[str, ...], functional: FunctionalModel) -> Work:
    """What a canary client sends in place of what it learned; parameters that are not sent do not matter."""
    update = {name: torch.zeros_like(state[name]) for name in functional.trainable}
    start = 0
    for name in names:
        count = state[name].numel()
        update[name] = flat[start : start + count].view_as(state[name]).to(state[name])
        start += count
    buffers = {name: state[name] for name in functional.buffer_names}
    return Work(update, buffers, next(iter(state.values())).new_zeros(0))
