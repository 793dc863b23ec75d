"""What is seen beside single updates: sums of several rounds, and what a client left on its disk."""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.grants import Grant
from auditor.core.seeds import derive_seed
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import train_locally
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.observations.released import RoundView, StolenCheckpoint, SummedRounds
from auditor.simulation.clients import Sent
from auditor.simulation.errors import SimulationError
from auditor.simulation.observed import ObservedUpdate
from auditor.simulation.play import Play
from auditor.simulation.release import aggregate_privatisation, client_privatisation, released_mean

ROUNDS_PER_CLIENT = 4
"""Sums kept for each client: as many as clients would do for unlike cohorts; more average noise and drift."""

ASKED = 4
"""Clients whose records are asked for in one log of sums."""

_VALUES = 2**28
"""Numbers held at once for all sums."""


def observe_sums(
    federation: FederationSettings,
    privacy: PrivacySettings,
    model: SharedModel,
    records: Records,
    *,
    groups: Tensor | None = None,
    state: State,
    seed: int,
    device: str = "cpu",
    observer: Literal["server", "participant"] = "server",
    partition_seed: int | None = None,
) -> ObservedUpdate:
    """Play rounds on from a state and keep the sum of each.

    Args:
        federation: As in training; its cohorts decide what can be told apart.
        privacy: As in training.
        model: Architecture and loss.
        records: All training records.
        groups: Value of the partition column for each record.
        state: The model that the first round starts from.
        seed: Of the rounds.
        device: torch device.
        observer: A server sees the aggregate before it adds noise of its own; a participant after.
        partition_seed: Seed of the training run, for the same records at the same clients; default ``seed``.

    Raises:
        SimulationError: where no round ends with enough clients.
    """
    play = _prepared(federation, privacy, model, records, groups, device, (seed, partition_seed))
    size = sum(value.numel() for value in state.values())
    rounds = min(federation.rounds, ROUNDS_PER_CLIENT * federation.clients, max(2, _VALUES // (2 * max(size, 1))))
    now, log = play.start(state), _Log(play, observer == "participant")
    for position in range(rounds):
        cohort = play.cohort(position)
        works = play.work(now, cohort)
        pairs = zip(cohort.tasks, works, strict=True)
        log.add(position, now, {task.client: play.clients.send(task, w, norm=play.server.norm) for task, w in pairs})
        now, _ = play.finish(now, cohort, works)
    if not log.views:
        raise SimulationError(
            f"{rounds} rounds in a row ended without enough clients.",
            remedy="Lower federation.aggregation.secure.threshold or dropout, or raise the participation.",
        )
    return log.observed(seed)


def _prepared(
    federation: FederationSettings,
    privacy: PrivacySettings,
    model: SharedModel,
    records: Records,
    groups: Tensor | None,
    device: str,
    seeds: tuple[int, int | None],
) -> Play:
    """The federation with the records of the training run (second seed) and randomness of its own (first)."""
    functional = FunctionalModel(model, device=device, batch_norm=federation.batch_norm)
    seed, dealt = seeds
    play = Play.prepared(federation, privacy, functional, records, groups=groups, seed=seed if dealt is None else dealt)
    return replace(play, seed=seed)


@dataclass
class _Log:
    """Sums as they come, and which records each client used."""

    play: Play
    with_server_noise: bool
    views: list[RoundView] = field(default_factory=list)
    used: dict[int, Tensor] = field(default_factory=dict)
    shares: dict[int, float] = field(default_factory=dict)
    last: dict[int, Sent] = field(default_factory=dict)

    def add(self, position: int, before: State, sent: dict[int, Sent]) -> None:
        """Keep the sum of one round; an aborted round leaves none."""
        if not sent:
            return
        mechanism, rule = self.play.mechanism, self.play.federation.aggregation.rule
        seed = derive_seed(self.play.seed, "sum", position)
        mean = released_mean(mechanism, rule, list(sent.values()), seed=seed, with_server_noise=self.with_server_noise)
        self.views.append(RoundView(position, before, {}, tuple(sent), mean))
        for client, each in sent.items():
            known = self.used.get(client, each.used)
            self.used[client] = torch.unique(torch.cat([known, each.used]))
            self.shares[client] = 1.0 if mechanism.equal_weights else each.weight
        self.last = sent

    def observed(self, seed: int) -> ObservedUpdate:
        """The log with the records of the clients that are asked about, in their order."""
        play, clients = self.play, [client for client in sorted(self.used) if len(self.used[client])]
        generator = torch.Generator().manual_seed(derive_seed(seed, "asked"))
        asked = [clients[i] for i in torch.randperm(len(clients), generator=generator).tolist()][:ASKED]
        sizes = [len(play.parts[client]) for client in self.last]
        sent = list(self.last.values())
        seen = SummedRounds(
            rounds=tuple(self.views),
            asked=tuple(asked),
            shares=self.shares,
            records={client: max(1, len(used)) for client, used in self.used.items()},
            kind=play.clients.kind,
            local=max((each.recipe for each in sent), key=lambda recipe: recipe.steps),
            privatisation=aggregate_privatisation(
                play.mechanism, sent, sizes, with_server_noise=self.with_server_noise
            ),
        )
        rows = torch.cat([play.parts[client][self.used[client]] for client in asked])
        return ObservedUpdate(seen, play.records[rows])


def observe_checkpoints(
    federation: FederationSettings,
    privacy: PrivacySettings,
    model: SharedModel,
    records: Records,
    *,
    groups: Tensor | None = None,
    state: State,
    count: int,
    seed: int,
    grants: frozenset[Grant],
    device: str = "cpu",
    partition_seed: int | None = None,
) -> list[ObservedUpdate]:
    """What clients have on their disks after the local training of a round: weights and the optimiser's memory.

    The model before is public where :attr:`Grant.MODEL_WEIGHTS` is granted. Arguments as in :func:`observe_sums`.

    Raises:
        SimulationError: for FedSGD, whose clients store no training of their own.
    """
    if federation.algorithm == "fedsgd":
        raise SimulationError(
            "FedSGD clients take no local step, so there is no checkpoint of their training to steal.",
            remedy="Set federation.algorithm to 'fedavg' for this scenario, or leave the scenario out.",
        )
    play = _prepared(federation, privacy, model, records, groups, device, (seed, partition_seed))
    before = play.start(state)
    holding = [client for client, part in enumerate(play.parts) if len(part)]
    generator = torch.Generator().manual_seed(derive_seed(seed, "stolen-from"))
    order = [holding[i] for i in torch.randperm(len(holding), generator=generator).tolist()]
    known = before if Grant.MODEL_WEIGHTS in grants else None
    return [_stolen(play, client, before, known, derive_seed(seed, "stolen", client)) for client in order[:count]]


def _stolen(play: Play, client: int, before: State, known: State | None, seed: int) -> ObservedUpdate:
    mine = play.records[play.parts[client]]
    task = play.clients.task(len(mine), client=client, seed=seed)
    work, momentum = play.clients.do(before, mine, task), None
    if play.mechanism.clipped != "record" and (task.recipe.momentum or task.recipe.optimizer == "adam"):
        trained = train_locally(
            play.functional, before, mine, task.recipe, batches=task.batches, seed=derive_seed(seed, "dropout")
        )
        momentum = dict(zip(play.functional.trainable, trained.memory.first, strict=True))
    after = {**before, **work.buffers, **{name: before[name] + value for name, value in work.update.items()}}
    used = torch.unique(torch.cat(task.batches)) if task.batches else torch.zeros(0, dtype=torch.int64)
    seen = StolenCheckpoint(
        before=known,
        after=after,
        momentum=momentum,
        records=len(used),
        local=task.recipe,
        privatisation=client_privatisation(play.mechanism, task.recipe, len(mine)),
    )
    return ObservedUpdate(seen, mine[used])
