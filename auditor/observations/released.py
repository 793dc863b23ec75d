"""What the federation releases to an adversary."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.observations.model import Column, LocalTraining, Privatisation, State
from auditor.observations.records import Records


@dataclass(frozen=True)
class ClientUpdate:
    """The update of one client in one round, as it left the client.

    Attributes:
        round: Federated round (0-based).
        before: State that the client received.
        update: By parameter name. ``gradient``: the mean gradient over the batch(es). ``difference``:
            weights after minus weights before.
        kind: ``gradient`` or ``difference``.
        records: How many records stand behind it (the protocol sends it as the weight of the client).
        local: The client's recipe.
        privatisation: What the mechanism did to it.
        buffers_after: BatchNorm statistics after local training; None unless granted.
        labels: Labels of the batch; None unless granted.
        shown: Where only a part of the coordinates is seen: boolean tensors by parameter name, True = seen. The
            others hold zeros in ``update``. None = all coordinates of ``update``.
    """

    round: int
    before: State
    update: State
    kind: str
    records: int
    local: LocalTraining
    privatisation: Privatisation = Privatisation()
    buffers_after: State | None = None
    labels: Tensor | None = None
    shown: State | None = None


@dataclass(frozen=True)
class Aggregate:
    """The sum of the updates of a round under secure aggregation.

    ``update`` is the record-weighted mean over the ``clients`` that took part; ``records`` their total.
    """

    round: int
    before: State
    update: State
    kind: str
    clients: int
    records: int
    local: LocalTraining
    privatisation: Privatisation = Privatisation()
    labels: Tensor | None = None


@dataclass(frozen=True)
class Weights:
    """The weights of the released model.

    Attributes:
        state: Parameters and buffers.
        candidates: Records that their holder asks about, members and others in an order that says nothing; None
            where no membership is asked.
    """

    state: State
    candidates: Records | None = None


@dataclass(frozen=True)
class Checkpoints:
    """Stored states of one training, earliest first, and the records that their holder asks about."""

    states: tuple[State, ...]
    candidates: Records


@dataclass(frozen=True)
class Queries:
    """What the released model answers on the candidate records of a membership game.

    Attributes:
        outputs: Raw model outputs (logits), shape ``(candidates, classes)``; for language models the
            per-record mean token log-likelihood as ``(candidates, 1)``.
        losses: Per-record loss, shape ``(candidates,)``.
        labels: Labels of the candidates, shape ``(candidates, ...)``.
        inputs: The candidates themselves, which whoever asks about them holds; None where they were not handed on.
    """

    outputs: Tensor
    losses: Tensor
    labels: Tensor
    inputs: Tensor | None = None


@dataclass(frozen=True)
class LabelOracle:
    """A model that answers with its predicted class alone.

    Attributes:
        ask: Inputs ``(n, *input_shape)`` -> predicted classes ``(n,)``.
        candidates: The records that are asked about.
    """

    ask: Callable[[Tensor], Tensor]
    candidates: Records


@dataclass(frozen=True)
class MaskedRecords:
    """A released model, and records of which one column is not known.

    Attributes:
        state: Parameters and buffers.
        candidates: The records; the column's slice of every input holds zeros.
        column: The categorical column that is asked about.
    """

    state: State
    candidates: Records
    column: Column


@dataclass(frozen=True)
class RoundView:
    """One round as the server keeps it.

    Attributes:
        round: Federated round (0-based).
        before: State that every client of the round received.
        updates: What each client sent, by its number: weights after minus weights before, as released. Empty under
            secure aggregation.
        cohort: Numbers of the clients that took part.
        aggregate: Record-weighted mean of the updates.
    """

    round: int
    before: State
    updates: Mapping[int, State]
    cohort: tuple[int, ...]
    aggregate: State


@dataclass(frozen=True)
class Projections:
    """What is kept of rounds whose updates are too many to keep: figures taken about each candidate as they went by.

    A cosine is that of a candidate's descent direction, at the state that the round began with, and an update.

    Attributes:
        senders: Clients whose own updates were seen, in order; empty under secure aggregation.
        cosines: With each client's update, ``(rounds, senders, candidates)``; NaN where a client did not take part.
        losses: Loss under each client's model after its local training; shape and NaN as above.
        aggregate_cosines: With the aggregate, ``(rounds, candidates)``.
        received: Loss under the model that the round began with, ``(rounds, candidates)``.
        settled: Loss under that model moved by the aggregate, ``(rounds, candidates)``.
        own: What an attack that deviates took from each client's update itself, ``(rounds, senders, candidates)``; NaN
            where a client did not take part or a candidate was not asked about. None where it takes nothing.
        own_aggregate: The same from the aggregate, ``(rounds, candidates)``.
    """

    senders: tuple[int, ...]
    cosines: Tensor
    losses: Tensor
    aggregate_cosines: Tensor
    received: Tensor
    settled: Tensor
    own: Tensor | None = None
    own_aggregate: Tensor | None = None

    @property
    def answered(self) -> Tensor:
        """Candidates about which anything was asked, bool ``(candidates,)``."""
        if self.own_aggregate is None:
            return torch.ones(self.received.shape[1], dtype=torch.bool)
        return ~self.own_aggregate.isnan().all(dim=0)

    def about(self, chosen: Tensor) -> "Projections":
        """The figures of some candidates, by a bool mask."""
        return Projections(
            self.senders,
            self.cosines[..., chosen],
            self.losses[..., chosen],
            self.aggregate_cosines[:, chosen],
            self.received[:, chosen],
            self.settled[:, chosen],
            None if self.own is None else self.own[..., chosen],
            None if self.own_aggregate is None else self.own_aggregate[:, chosen],
        )


@dataclass(frozen=True)
class Rounds:
    """A log of rounds, and the records that its keeper asks about.

    Attributes:
        rounds: In order. With :attr:`projections`, they hold number and cohort and no tensors.
        candidates: The records in question; which of them the client holds is not said.
        client: The client they are asked about; None = any client.
        local: The clients' recipe.
        privatisation: What the mechanism did to each update (or to the aggregate, under secure aggregation).
        asked: For each candidate the client that it is asked about, ``(candidates,)`` int64, in place of
            :attr:`client`: many questions about one log.
        projections: In place of updates and states.
    """

    rounds: tuple[RoundView, ...]
    candidates: Records
    client: int | None
    local: LocalTraining
    privatisation: Privatisation = Privatisation()
    asked: Tensor | None = None
    projections: Projections | None = None

    @property
    def clients(self) -> tuple[int, ...]:
        """Numbers of all clients that ever took part, in order."""
        return tuple(sorted({client for view in self.rounds for client in view.cohort}))

    @property
    def senders(self) -> tuple[int, ...]:
        """Numbers of the clients whose own updates were seen, in order; empty under secure aggregation."""
        if self.projections is not None:
            return self.projections.senders
        return tuple(sorted({client for view in self.rounds for client in view.updates}))


@dataclass(frozen=True)
class SummedRounds:
    """The sums of several rounds under secure aggregation, and the clients whose records are asked for.

    Attributes:
        rounds: In order; each with its aggregate and cohort, without single updates.
        asked: Numbers of the clients whose records are asked for.
        shares: How much each client counts in a mean, relative to the others (the protocol's weights).
        records: How many records stand behind the updates of each client.
        kind: ``gradient`` or ``difference``.
        local: The clients' recipe.
        privatisation: What the mechanism did to each aggregate.
    """

    rounds: tuple[RoundView, ...]
    asked: tuple[int, ...]
    shares: Mapping[int, float]
    records: Mapping[int, int]
    kind: str
    local: LocalTraining
    privatisation: Privatisation = Privatisation()


@dataclass(frozen=True)
class StolenCheckpoint:
    """What a client stored after its local training, and the model that the server sent before it.

    Attributes:
        before: The model that was sent; None where it is not known.
        after: The stored weights and buffers.
        momentum: The optimiser's stored first moments by parameter name; None where they were not stored.
        records: How many records the client trained on.
        local: The client's recipe.
        privatisation: What the client did to its gradients before it used them.
    """

    before: State | None
    after: State
    momentum: State | None
    records: int
    local: LocalTraining
    privatisation: Privatisation = Privatisation()


Observation = (
    ClientUpdate
    | Aggregate
    | Weights
    | Checkpoints
    | Queries
    | LabelOracle
    | MaskedRecords
    | Rounds
    | SummedRounds
    | StolenCheckpoint
)
