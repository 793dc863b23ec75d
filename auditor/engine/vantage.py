"""From where an adversary watches a training, and what it does other than the protocol says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from auditor.attacks.base import AltersTraining
from auditor.config.settings import FederationSettings
from auditor.core.seeds import derive_seed
from auditor.observations.model import State
from auditor.observations.released import RoundView
from auditor.simulation.clients import ClientTask, Work
from auditor.simulation.play import Play
from auditor.simulation.rounds import Deviation, PlayedRound
from auditor.simulation.views import clients_view, server_view


@dataclass(frozen=True)
class Vantage:
    """Who watches which rounds, and who deviates in which.

    Attributes:
        rounds: Watched.
        own: Clients of the adversary.
        worsened: Rounds in which it deviates.
        sees_clients: Does a server see single updates?
        from_below: The adversary is among the clients.
    """

    rounds: frozenset[int]
    own: frozenset[int]
    worsened: frozenset[int]
    sees_clients: bool
    from_below: bool

    def view(self, played: PlayedRound, play: Play) -> RoundView | None:
        """What it sees of a round; None where nothing."""
        if self.from_below:
            return clients_view(played, play, own=self.own)
        return server_view(played, play, sees_clients=self.sees_clients)

    def turn(self, number: int) -> int:
        """How many rounds before this one it deviated in."""
        return sum(earlier < number for earlier in self.worsened)

    def deviation(
        self, federation: FederationSettings, wanted: Callable[[State, int], Mapping[str, Tensor]]
    ) -> Deviation | None:
        """What it does to get the model that it wants in a turn; None where it follows the protocol."""
        if not self.worsened:
            return None
        if not self.from_below:

            def model(number: int, state: State) -> State:
                return wanted(state, self.turn(number)) if number in self.worsened else state

            return Deviation(model=model)
        step = -federation.local.learning_rate if federation.algorithm == "fedsgd" else 1.0

        def work(number: int, state: State, task: ClientTask, cohort: int, honest: Work) -> Work:
            if number not in self.worsened or task.client not in self.own:
                return honest
            moved = wanted(state, self.turn(number))
            # A mean over the cohort moves by a step where one of it sends that step as many times.
            return honest._replace(update={n: cohort * (moved[n] - state[n]) / step for n in honest.update})

        return Deviation(work=work)


def vantage(
    details: Mapping[str, Any],
    federation: FederationSettings,
    *,
    attack: AltersTraining | None,
    cohort: Callable[[int], list[int]],
) -> Vantage:
    """The vantage point that a unit's details name.

    Args:
        details: ``own``: how many clients act together; ``sees_clients``; ``seed``.
        federation: Of the training.
        attack: Deviates in the last rounds; None = all follow the protocol.
        cohort: Clients that take part in a round.
    """
    own, sees_clients = int(details["own"]), bool(details["sees_clients"])
    if attack is None:
        acting = _drawn(federation.clients, own, seed=int(details["seed"]))
        return Vantage(frozenset(range(federation.rounds)), acting, frozenset(), sees_clients, own > 0)
    worsened = attack.worsened_rounds()
    if own == 0:
        last = frozenset(range(max(0, federation.rounds - worsened), federation.rounds))
        return Vantage(last, frozenset(), last, sees_clients, False)
    # A client's step reaches the model one round later: it sends in one round and watches the next.
    sends = list(range(federation.rounds - 2, -1, -2))[:worsened]
    taking_part = [client for number in sends for client in cohort(number)]
    client = max(sorted(set(taking_part)), key=taking_part.count, default=0)
    sends = [number for number in sends if client in cohort(number)]
    after = frozenset(number + 1 for number in sends)
    return Vantage(after, frozenset({client}), frozenset(sends), False, True)


def _drawn(clients: int, own: int, *, seed: int) -> frozenset[int]:
    """The clients that act together."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "colluders"))
    return frozenset(torch.randperm(clients, generator=generator)[:own].tolist())
