"""A federation set up to be played round by round."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.seeds import derive_seed
from auditor.learning.errors import Diverged
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import State
from auditor.observations.records import Records
from auditor.simulation.clients import Clients, ClientTask, Sent, Work
from auditor.simulation.mechanisms import Mechanism, mechanism_of
from auditor.simulation.meter import Meter, ObservedMechanism, total_norm
from auditor.simulation.participation import participants, survivors
from auditor.simulation.partition import partition
from auditor.simulation.server import Combined, Server


@dataclass(frozen=True)
class RoundLog:
    """What happened in one round.

    Attributes:
        round: 0-based.
        loss: Mean loss of the clients' local steps, weighted by records; None where nobody trained.
        clients: Clients whose updates counted.
        invited: Clients drawn for the round, drop-outs and clients without records included.
        records: Records behind the round's update.
    """

    round: int
    loss: float | None
    clients: tuple[int, ...]
    invited: tuple[int, ...]
    records: int


@dataclass(frozen=True)
class TrainedFederation:
    """A trained model.

    Attributes:
        state: Parameters and buffers after the last round.
        history: One entry a round.
        mechanism: What clipping and noise really did.
        client_records: How many records each client holds.
        notes: Facts about the run that a reader of its figures must know.
    """

    state: dict[str, Tensor]
    history: tuple[RoundLog, ...]
    mechanism: ObservedMechanism
    client_records: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


class Cohort(NamedTuple):
    """Who takes part in a round.

    Attributes:
        round: 0-based.
        invited: Clients drawn.
        tasks: Of the clients whose updates will count.
        aborted: Fewer clients were left than secure aggregation needs: nothing is released, no noise either.
    """

    round: int
    invited: tuple[int, ...]
    tasks: list[ClientTask]
    aborted: bool = False


@dataclass(frozen=True)
class Settled:
    """A round that has ended.

    Attributes:
        state: The next model.
        sent: What each client of the cohort sent, in its order.
        combined: What the server made of it; None where nothing is released.
    """

    state: dict[str, Tensor]
    sent: list[Sent]
    combined: Combined | None
    log: RoundLog


@dataclass(frozen=True)
class Play:
    """A federation set up: who holds what, and who does what."""

    federation: FederationSettings
    mechanism: Mechanism
    functional: FunctionalModel
    records: Records
    parts: list[Tensor]
    clients: Clients
    server: Server
    meter: Meter
    seed: int

    @classmethod
    def prepared(
        cls,
        federation: FederationSettings,
        privacy: PrivacySettings,
        functional: FunctionalModel,
        records: Records,
        *,
        groups: Tensor | None,
        seed: int,
    ) -> "Play":
        """Deal the records and set up clients and server.

        Raises:
            SimulationError: where settings contradict each other.
        """
        mechanism, meter = mechanism_of(federation, privacy), Meter()
        parts = partition(federation, records, groups=groups, seed=seed)
        clients = Clients(functional, federation, mechanism, meter)
        server = Server(federation, mechanism, meter, seed=seed)
        held = records.to(functional.device)
        return cls(federation, mechanism, functional, held, parts, clients, server, meter, seed)

    def start(self, initial: State | None) -> dict[str, Tensor]:
        """The model of round 0."""
        fresh = self.functional.initial_state(derive_seed(self.seed, "initial")) if initial is None else initial
        return self.functional.complete(fresh)

    def cohort(self, round: int) -> Cohort:
        """Who takes part in a round, and what each will do."""
        invited = participants(self.federation, round=round, seed=self.seed)
        holding = [client for client in invited if len(self.parts[client])]
        left = survivors(self.federation, holding, round=round, seed=self.seed)
        tasks = [
            self.clients.task(
                len(self.parts[client]), client=client, seed=derive_seed(self.seed, "client", round, client)
            )
            for client in left
        ]
        return Cohort(round, tuple(invited), tasks, aborted=bool(holding) and not left)

    def work(self, state: State, cohort: Cohort) -> list[Work]:
        """The cohort's work, one client after the other."""
        return [self.client_work(state, task) for task in cohort.tasks]

    def client_work(self, state: State, task: ClientTask) -> Work:
        """One client's work, before anything leaves it."""
        return self.clients.do(state, self.records[self.parts[task.client]], task)

    def rehearsal(self) -> "Play":
        """The same federation with a meter and clients of its own: playing it leaves no trace in this one."""
        meter = Meter()
        clients = Clients(self.functional, self.federation, self.mechanism, meter)
        return replace(self, clients=clients, meter=meter)

    def finish(self, state: dict[str, Tensor], cohort: Cohort, works: list[Work]) -> tuple[dict[str, Tensor], RoundLog]:
        """The next model; see :meth:`settle`."""
        settled = self.settle(state, cohort, works)
        return settled.state, settled.log

    def settle(self, state: dict[str, Tensor], cohort: Cohort, works: list[Work]) -> Settled:
        """Send, combine and step.

        Raises:
            Diverged: where a loss or an update is not finite.
        """
        pairs = zip(cohort.tasks, works, strict=True)
        sent = [self.clients.send(task, work, norm=self.server.norm) for task, work in pairs]
        log = _log(cohort, sent)
        if cohort.aborted:
            return Settled(state, sent, None, log)
        self._check(log.loss is None or math.isfinite(log.loss), cohort.round)
        combined = self.server.combine(sent, self.clients.sent_names, state, round=cohort.round)
        self.server.adapt(sent, round=cohort.round)
        if combined is None:
            return Settled(state, sent, None, log)
        self._check(bool(total_norm(combined.update.values()).isfinite()), cohort.round)
        return Settled(self.server.step(state, combined, sent), sent, combined, log)

    def result(self, state: dict[str, Tensor], history: list[RoundLog]) -> TrainedFederation:
        """The trained model with what was measured on the way."""
        return TrainedFederation(
            state,
            tuple(history),
            self.meter.read(sampler=self.sampler, unit=self.mechanism.clipped),
            tuple(len(part) for part in self.parts),
            self.notes,
        )

    def _check(self, finite: bool, round: int) -> None:
        if not finite:
            what = f"Training diverged in round {round + 1} of {self.federation.rounds}"
            raise Diverged(what, learning_rate=self.federation.local.learning_rate)

    @property
    def sampler(self) -> str:
        """How the protected unit is really drawn."""
        if self.mechanism.clipped == "record":
            return self.mechanism.privacy.sampling or "shuffled"
        return self.federation.participation.scheme

    @property
    def notes(self) -> tuple[str, ...]:
        """What the mechanism does not cover."""
        found = []
        empty = sum(not len(part) for part in self.parts)
        if empty:
            found.append(f"{empty} of {len(self.parts)} clients hold no records and never take part.")
        if self.mechanism.clipped == "client" and self.functional.mixes_records:
            found.append("BatchNorm statistics leave the clients without clipping or noise; no bound covers them.")
        if self.mechanism.protects not in (None, self.mechanism.clipped) and self.mechanism.clipped != "none":
            found.append(
                f"privacy.protects is '{self.mechanism.protects}'; as played, '{self.mechanism.kind}' clips the "
                f"contribution of each {self.mechanism.clipped}."
            )
        return tuple(found)


def _log(cohort: Cohort, sent: list[Sent]) -> RoundLog:
    clients = tuple(task.client for task in cohort.tasks)
    return RoundLog(cohort.round, _mean_loss(sent), clients, cohort.invited, sum(len(each.used) for each in sent))


def _mean_loss(sent: list[Sent]) -> float | None:
    losses = [(float(each.losses.mean()), len(each.used)) for each in sent if len(each.losses)]
    records = sum(weight for _, weight in losses)
    return sum(loss * weight for loss, weight in losses) / records if records else None
