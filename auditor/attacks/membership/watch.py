"""Figures about candidates that are taken while rounds go by, so that no update need be kept."""

from typing import NamedTuple

import torch
from torch import Tensor

from auditor.attacks.base import ReadsTraining
from auditor.attacks.membership.traces import add, cosines, losses
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel
from auditor.observations.records import Records
from auditor.observations.released import Projections, RoundView


class _Figures(NamedTuple):
    """Of one round: by client, and of the whole; float32, ``(candidates,)`` each."""

    cosines: dict[int, Tensor]
    losses: dict[int, Tensor]
    whole: tuple[Tensor, Tensor, Tensor]
    own: dict[int, Tensor]
    own_aggregate: Tensor | None


class Watch:
    """An adversary that looks at each round once.

    What it keeps grows with rounds, clients and candidates, not with the size of the model.

    Args:
        candidates: Records that it will be asked about.
        model: For gradients and losses.
        device: torch device.
        reads: An attack that takes a figure of its own from each update; None where none does.

    Attributes:
        views: Rounds seen, without tensors.
    """

    def __init__(
        self, candidates: Records, model: SharedModel, *, device: str = "cpu", reads: ReadsTraining | None = None
    ) -> None:
        self.model = FunctionalModel(model, device=device, batch_norm="eval")
        self.candidates = candidates.to(device)
        self._reads = reads
        self._rounds: list[_Figures] = []
        self.views: list[RoundView] = []

    def see(self, view: RoundView, *, turn: int = 0) -> None:
        """Take the figures of one round; ``view`` may be forgotten afterwards.

        Args:
            view: The round.
            turn: How many rounds were deviated in before it.
        """
        clients = sorted(view.updates)
        own = self._own(view, clients, turn)
        found = cosines(
            self.model,
            view.before,
            [view.aggregate, *(view.updates[client] for client in clients)],
            self.candidates,
        ).float()
        after = [losses(self.model, add(view.before, view.updates[client]), self.candidates) for client in clients]
        received = losses(self.model, view.before, self.candidates)
        settled = losses(self.model, add(view.before, view.aggregate), self.candidates)
        self._rounds.append(
            _Figures(
                dict(zip(clients, found[1:], strict=True)),
                dict(zip(clients, (row.float() for row in after), strict=True)),
                (found[0], received.float(), settled.float()),
                {} if own is None else dict(zip(clients, own[1:], strict=True)),
                None if own is None else own[0],
            )
        )
        self.views.append(RoundView(view.round, {}, {}, view.cohort, {}))

    def projections(self) -> Projections:
        """All figures so far."""
        senders = tuple(sorted({client for figures in self._rounds for client in figures.losses}))
        whole = [torch.stack(parts) for parts in zip(*(figures.whole for figures in self._rounds), strict=True)]
        return Projections(
            senders=senders,
            cosines=self._dense([figures.cosines for figures in self._rounds], senders),
            losses=self._dense([figures.losses for figures in self._rounds], senders),
            aggregate_cosines=whole[0],
            received=whole[1],
            settled=whole[2],
            own=self._dense([figures.own for figures in self._rounds], senders) if self._reads else None,
            own_aggregate=_stacked([figures.own_aggregate for figures in self._rounds]),
        )

    def _own(self, view: RoundView, clients: list[int], turn: int) -> Tensor | None:
        """What the attack takes from the aggregate and from each update, ``(1 + clients, candidates)``."""
        if self._reads is None:
            return None
        sent = [view.aggregate, *(view.updates[client] for client in clients)]
        return self._reads.figure(view.before, sent, self.candidates, self.model, turn=turn).float().cpu()

    def _dense(self, rounds: list[dict[int, Tensor]], senders: tuple[int, ...]) -> Tensor:
        found = torch.full((len(rounds), len(senders), len(self.candidates)), torch.nan)
        for number, figures in enumerate(rounds):
            for place, client in enumerate(senders):
                if client in figures:
                    found[number, place] = figures[client]
        return found


def _stacked(rows: list[Tensor | None]) -> Tensor | None:
    there = [row for row in rows if row is not None]
    return torch.stack(there) if there else None
