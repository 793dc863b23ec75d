"""What an adversary sees of a round, with the truth beside it and never inside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from auditor.config.scenario import PartSettings
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.grants import Grant
from auditor.core.seeds import derive_seed
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import LocalTraining, SharedModel, State
from auditor.observations.records import Records
from auditor.observations.released import Aggregate, ClientUpdate
from auditor.simulation.clients import Clients, Sent
from auditor.simulation.errors import SimulationError
from auditor.simulation.mechanisms import mechanism_of
from auditor.simulation.meter import Meter
from auditor.simulation.observed import ObservedUpdate
from auditor.simulation.partial import part_of
from auditor.simulation.participation import participants, survivors
from auditor.simulation.partition import partition
from auditor.simulation.release import aggregate_privatisation, client_privatisation, released_mean
from auditor.simulation.series import observe_checkpoints, observe_sums

_ATTEMPTS = 50
"""Draws of a round before giving up on one in which somebody has records."""


def observe_updates(
    federation: FederationSettings,
    privacy: PrivacySettings,
    model: SharedModel,
    records: Records,
    *,
    groups: Tensor | None = None,
    state: State,
    view: Literal["client", "aggregate", "part", "sums", "checkpoint"],
    count: int,
    seed: int,
    grants: frozenset[Grant],
    device: str = "cpu",
    round: int = 0,
    observer: Literal["server", "participant"] = "server",
    partition_seed: int | None = None,
    state_for: Callable[[int], State] | None = None,
    part: PartSettings | None = None,
) -> list[ObservedUpdate]:
    """Play one round ``count`` times from the same state, each with its own clients, batches and noise.

    Args:
        federation: As in training.
        privacy: As in training.
        model: Architecture and loss.
        records: All training records.
        groups: Value of the partition column for each record.
        state: The model that the round starts from.
        view: ``client``: the update of one client. ``aggregate``: the mean over a round's clients. ``part``: a part of
            one client's update. ``sums``: one log of the aggregates of several rounds. ``checkpoint``: what a client
            stored after its local training.
        count: How many observations; clients repeat only after each one with records was seen.
        seed: Of the observations.
        grants: ``labels`` and ``batch_norm_statistics`` add to what is seen.
        device: torch device.
        round: Printed in the observation.
        observer: A server sees the aggregate before it adds noise of its own; a participant after.
        partition_seed: Seed of the training run, for the same records at the same clients; default ``seed``.
        state_for: What the client at each place of the round receives, where a malicious server sends each another
            one; default: ``state`` for all. The observation names ``state`` in any case.
        part: What ``part`` shows.

    Raises:
        SimulationError: where no client has records, or rounds keep ending below the secure-aggregation threshold.
    """
    if view in ("sums", "checkpoint"):
        same: Any = {"groups": groups, "state": state, "seed": seed, "device": device, "partition_seed": partition_seed}
        world = (federation, privacy, model, records)
        if view == "sums":
            return [observe_sums(*world, observer=observer, **same)]
        return observe_checkpoints(*world, count=count, grants=grants, **same)
    theatre = _Theatre.prepared(
        federation,
        privacy,
        model,
        records.to(device),
        parts=partition(federation, records, groups=groups, seed=seed if partition_seed is None else partition_seed),
        state=state,
        seed=seed,
        device=device,
        round=round,
        state_for=state_for,
    )
    if view == "client":
        return theatre.client_updates(count, grants)
    if view == "part":
        whole = theatre.client_updates(count, grants - {Grant.BATCH_NORM_STATISTICS})
        return [_partly(item, part or PartSettings(), derive_seed(seed, "part", i)) for i, item in enumerate(whole)]
    return [theatre.aggregate(i, grants, observer) for i in range(count)]


def _partly(item: ObservedUpdate, part: PartSettings, seed: int) -> ObservedUpdate:
    assert isinstance(item.observation, ClientUpdate)
    return ObservedUpdate(part_of(item.observation, part, seed=seed), item.truth)


@dataclass(frozen=True)
class _Theatre:
    """One round, ready to be played again and again."""

    federation: FederationSettings
    privacy: PrivacySettings
    records: Records
    parts: list[Tensor]
    clients: Clients
    state: dict[str, Tensor]
    seed: int
    round: int
    state_for: Callable[[int], State] | None = None

    @classmethod
    def prepared(
        cls,
        federation: FederationSettings,
        privacy: PrivacySettings,
        model: SharedModel,
        records: Records,
        *,
        parts: list[Tensor],
        state: State,
        seed: int,
        device: str,
        round: int,
        state_for: Callable[[int], State] | None = None,
    ) -> "_Theatre":
        if not any(map(len, parts)):
            raise SimulationError(
                "No client holds any record, so there is no update to observe.",
                remedy="Give target.data.members more records or lower federation.clients.",
            )
        functional = FunctionalModel(model, device=device, batch_norm=federation.batch_norm)
        clients = Clients(functional, federation, mechanism_of(federation, privacy), Meter())
        return cls(federation, privacy, records, parts, clients, functional.complete(state), seed, round, state_for)

    def client_updates(self, count: int, grants: frozenset[Grant]) -> list[ObservedUpdate]:
        holding = [client for client, part in enumerate(self.parts) if len(part)]
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "observed-clients"))
        order: list[int] = []
        while len(order) < count:
            order += [holding[i] for i in torch.randperm(len(holding), generator=generator).tolist()]
        return [self._client_update(client, i, grants) for i, client in enumerate(order[:count])]

    def _client_update(self, client: int, position: int, grants: frozenset[Grant]) -> ObservedUpdate:
        sent, truth = self._drawn(client, position)
        mechanism = self.clients.mechanism
        observation = ClientUpdate(
            round=self.round,
            before=self.state,
            update=sent.update,
            kind=self.clients.kind,
            records=len(truth),
            local=sent.recipe,
            privatisation=client_privatisation(mechanism, sent.recipe, len(self.parts[client])),
            buffers_after=sent.buffers if Grant.BATCH_NORM_STATISTICS in grants and sent.buffers else None,
            labels=truth.labels if Grant.LABELS in grants else None,
        )
        return ObservedUpdate(observation, truth)

    def _received(self, place: int) -> dict[str, Tensor]:
        """What the client at a place of the round works on."""
        return {**self.state, **self.state_for(place)} if self.state_for else self.state

    def _drawn(self, client: int, position: int, place: int = 0) -> tuple[Sent, Records]:
        """A client's work; Poisson sampling is repeated until it draws a record, for there is none to find else."""
        state = self._received(place)
        mine = self.records[self.parts[client]]
        norm = self.clients.mechanism.norm if self.clients.mechanism.clipped == "client" else None
        for attempt in range(_ATTEMPTS):
            seed = derive_seed(self.seed, "observed", position, client, attempt)
            sent = self.clients.work(state, mine, client=client, seed=seed, norm=norm)
            if len(sent.used):
                return sent, mine[sent.used]
        raise SimulationError(
            f"Client {client} drew no record in {_ATTEMPTS} rounds of Poisson sampling.",
            remedy="Raise federation.local.batch_size or epochs.",
        )

    def aggregate(
        self, position: int, grants: frozenset[Grant], observer: Literal["server", "participant"]
    ) -> ObservedUpdate:
        cohort = self._cohort(position)
        drawn = (self._drawn(client, position, place) for place, client in enumerate(cohort))
        sent, truths = zip(*drawn, strict=True)
        truth = Records(torch.cat([each.inputs for each in truths]), torch.cat([each.labels for each in truths]))
        mean = released_mean(
            self.clients.mechanism,
            self.federation.aggregation.rule,
            sent,
            seed=derive_seed(self.seed, "aggregate", position),
            with_server_noise=observer == "participant",
        )
        sizes = [len(self.parts[client]) for client in cohort]
        observation = Aggregate(
            round=self.round,
            before=self.state,
            update=mean,
            kind=self.clients.kind,
            clients=len(cohort),
            records=len(truth),
            local=_typical(sent),
            privatisation=aggregate_privatisation(
                self.clients.mechanism, sent, sizes, with_server_noise=observer == "participant"
            ),
            labels=truth.labels if Grant.LABELS in grants else None,
        )
        return ObservedUpdate(observation, truth)

    def _cohort(self, position: int) -> list[int]:
        for attempt in range(_ATTEMPTS):
            seed = derive_seed(self.seed, "observed-round", position, attempt)
            invited = participants(self.federation, round=self.round, seed=seed)
            holding = [client for client in invited if len(self.parts[client])]
            left = survivors(self.federation, holding, round=self.round, seed=seed)
            if left:
                return left
        raise SimulationError(
            f"{_ATTEMPTS} rounds in a row ended without enough clients.",
            remedy="Lower federation.aggregation.secure.threshold or dropout, or raise the participation.",
        )


def _typical(sent: Sequence[Sent]) -> LocalTraining:
    """The recipe of the client with the most steps; the others did the same on fewer records."""
    return replace(max((each.recipe for each in sent), key=lambda recipe: recipe.steps))
