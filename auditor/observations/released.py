"""What the federation releases to an adversary."""

from dataclasses import dataclass

from torch import Tensor

from auditor.observations.model import LocalTraining, Privatisation, State


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
    """The weights of the released model."""

    state: State


@dataclass(frozen=True)
class Queries:
    """What the released model answers on the candidate records of a membership game.

    Attributes:
        outputs: Raw model outputs (logits), shape ``(candidates, classes)``; for language models the
            per-record mean token log-likelihood as ``(candidates, 1)``.
        losses: Per-record loss, shape ``(candidates,)``.
        labels: Labels of the candidates, shape ``(candidates, ...)``.
    """

    outputs: Tensor
    losses: Tensor
    labels: Tensor


Observation = ClientUpdate | Aggregate | Weights | Queries
