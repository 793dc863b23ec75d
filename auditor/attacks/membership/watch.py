"""Figures about candidates that are taken while rounds go by, so that no update need be kept."""

from typing import NamedTuple

import torch
from torch import Tensor

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


class Watch:
    """An adversary that looks at each round once.

    What it keeps grows with rounds, clients and candidates, not with the size of the model.

    Args:
        candidates: Records that it will be asked about.
        model: For gradients and losses.
        device: torch device.

    Attributes:
        views: Rounds seen, without tensors.
    """

    def __init__(self, candidates: Records, model: SharedModel, *, device: str = "cpu") -> None:
        self.model = FunctionalModel(model, device=device, batch_norm="eval")
        self.candidates = candidates.to(device)
        self._rounds: list[_Figures] = []
        self.views: list[RoundView] = []

    def see(self, view: RoundView) -> None:
        """Take the figures of one round; ``view`` may be forgotten afterwards."""
        clients = sorted(view.updates)
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
        )

    def _dense(self, rounds: list[dict[int, Tensor]], senders: tuple[int, ...]) -> Tensor:
        found = torch.full((len(rounds), len(senders), len(self.candidates)), torch.nan)
        for number, figures in enumerate(rounds):
            for place, client in enumerate(senders):
                if client in figures:
                    found[number, place] = figures[client]
        return found
