"""Train a model by federated rounds."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.seeds import derive_seed
from auditor.learning.errors import Diverged
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.simulation.clients import Clients, Sent
from auditor.simulation.mechanisms import Mechanism, mechanism_of
from auditor.simulation.meter import Meter, ObservedMechanism
from auditor.simulation.participation import participants, survivors
from auditor.simulation.partition import partition
from auditor.simulation.server import Server


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


def train_federation(
    federation: FederationSettings,
    privacy: PrivacySettings,
    model: SharedModel,
    records: Records,
    *,
    groups: Tensor | None = None,
    seed: int,
    initial: State | None = None,
    device: str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> TrainedFederation:
    """Play all rounds of a federation.

    Args:
        federation: Algorithm, clients, participation, local steps, aggregation, compression.
        privacy: The mechanism; the same object is what accounting reads.
        model: Architecture and loss.
        records: All training records; dealt to the clients by ``federation.partition``.
        groups: Value of the partition column for each record, for ``by_column``.
        seed: All randomness follows from it.
        initial: Weights of round 0; default: freshly initialised.
        device: torch device.
        progress: Called with the fraction of rounds done.

    Raises:
        SimulationError: where settings contradict each other.
        Diverged: where a loss or the model is no longer finite; names the round.
    """
    play = _Play.prepared(federation, privacy, model, records, groups=groups, seed=seed, device=device)
    start = play.functional.initial_state(derive_seed(seed, "initial")) if initial is None else initial
    state, history = play.functional.complete(start), []
    for round in range(federation.rounds):
        state, log = play.round(state, round)
        history.append(log)
        if progress is not None:
            progress((round + 1) / federation.rounds)
    return TrainedFederation(
        state,
        tuple(history),
        play.meter.read(sampler=play.sampler, unit=play.mechanism.clipped),
        tuple(len(part) for part in play.parts),
        play.notes,
    )


@dataclass(frozen=True)
class _Play:
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
        model: SharedModel,
        records: Records,
        *,
        groups: Tensor | None,
        seed: int,
        device: str,
    ) -> "_Play":
        mechanism, meter = mechanism_of(federation, privacy), Meter()
        functional = FunctionalModel(model, device=device, batch_norm=federation.batch_norm)
        parts = partition(federation, records, groups=groups, seed=seed)
        clients = Clients(functional, federation, mechanism, meter)
        server = Server(federation, mechanism, meter, seed=seed)
        held = records.to(device)
        return cls(federation, mechanism, functional, held, parts, clients, server, meter, seed)

    def round(self, state: dict[str, Tensor], round: int) -> tuple[dict[str, Tensor], RoundLog]:
        invited = participants(self.federation, round=round, seed=self.seed)
        holding = [client for client in invited if len(self.parts[client])]
        left = survivors(self.federation, holding, round=round, seed=self.seed)
        sent = [self._work(state, client, round) for client in left]
        log = RoundLog(round, _mean_loss(sent), tuple(left), tuple(invited), sum(len(s.used) for s in sent))
        self._check(log.loss, round)
        combined = self.server.combine(sent, self.clients.sent_names, state, round=round)
        self.server.adapt(sent, round=round)
        if combined is None:
            return state, log
        moved = self.server.step(state, combined, sent)
        if not all(bool(torch.isfinite(value).all()) for value in combined.update.values()):
            self._diverged(round)
        return moved, log

    def _work(self, state: State, client: int, round: int) -> Sent:
        seed = derive_seed(self.seed, "client", round, client)
        mine = self.records[self.parts[client]]
        return self.clients.work(state, mine, client=client, seed=seed, norm=self.server.norm)

    def _check(self, loss: float | None, round: int) -> None:
        if loss is not None and not math.isfinite(loss):
            self._diverged(round)

    def _diverged(self, round: int) -> None:
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
        return tuple(found)


def _mean_loss(sent: list[Sent]) -> float | None:
    losses = [(float(each.losses.mean()), len(each.used)) for each in sent if len(each.losses)]
    records = sum(weight for _, weight in losses)
    return sum(loss * weight for loss, weight in losses) / records if records else None
