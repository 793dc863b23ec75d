"""What is kept of a whole training: its rounds as they went by, and stored states."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from auditor.attacks.base import AltersTraining, ReadsTraining
from auditor.attacks.membership.watch import Watch
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.errors import AuditorError
from auditor.core.seeds import derive_seed
from auditor.engine.game import Game
from auditor.engine.packing import pack
from auditor.engine.questions import Questions, questions
from auditor.engine.units import Made, Unit
from auditor.engine.vantage import Vantage, vantage
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import State
from auditor.observations.released import Projections, RoundView
from auditor.simulation.play import Play
from auditor.simulation.recipe import local_recipe
from auditor.simulation.release import client_privatisation
from auditor.simulation.rounds import Deviation, PlayedRound, play_rounds
from auditor.targets.target import Target

ENOUGH = 400
"""Questions that are asked, where time is short, before more than one round is watched."""

TRIED = (4, 16)
"""Questions of the two trials that say how long one takes, and how long a round does without any."""

SHARE_WATCHED = 0.7
"""Of the time for a training to be watched; the rest is for playing it."""

MOST_FIGURES = 2**25
"""Figures of one kind that are kept of a log (128 MiB): rounds times clients times candidates."""


@dataclass(frozen=True)
class Watched:
    """A log of rounds as its keeper has it, with the questions that are asked about it."""

    views: tuple[RoundView, ...]
    figures: Projections
    questions: Questions


class Training:
    """The federation of a unit, ready to be played again from the first round.

    Args:
        unit: An observation of a whole training; its details name federation, mechanism and seed.
        target: The truth.
        initial: Weights of round 0.
        device: torch device.
    """

    def __init__(self, unit: Unit, target: Target, *, initial: State, device: str) -> None:
        details = unit.details
        self.federation = FederationSettings.model_validate(details["federation"])
        self._details: Mapping[str, Any] = details
        self._target = target
        self._initial = initial
        self._device = device
        self.play = Play.prepared(
            self.federation,
            PrivacySettings.model_validate(details["privacy"]),
            FunctionalModel(target.model, device=device, batch_norm=self.federation.batch_norm),
            target.members,
            groups=target.member_groups,
            seed=int(details["training_seed"]),
        )

    # Stored states

    def checkpoints(self) -> bytes:
        """States of evenly spaced rounds, the last one among them."""
        count = min(int(self._details["count"]), self.federation.rounds)
        wanted = spaced(self.federation.rounds, count)
        states: list[State] = []
        for number, played in enumerate(self._rounds()):
            if number in wanted:
                states.append(played.settled.state)
        tensors = {f"{i}/{name}": tensor for i, state in enumerate(states) for name, tensor in state.items()}
        return pack(tensors, {"type": "checkpoints", "count": len(states)})

    def _rounds(self, deviation: Deviation | None = None) -> Iterator[PlayedRound]:
        return play_rounds(self.play, self._initial, rounds=self.federation.rounds, deviation=deviation)

    # Rounds

    def log(self, game: Game, *, attack: AltersTraining | None, seconds_left: float | None) -> Made:
        """Figures about the candidates of each round, until the time is used up."""
        deadline = None if seconds_left is None else time.monotonic() + seconds_left
        plan = vantage(self._details, self.federation, attack=attack, cohort=self._cohort)
        clients = {client for number in plan.rounds for client in self._cohort(number)} - plan.own
        asked = questions(game, self.play.parts, clients=clients, seed=int(self._details["seed"]))
        if not len(asked.index) or not bool((asked.owner >= 0).any()):
            raise AuditorError("No client whose records could be asked about took part in a round.")
        kept = self._kept(plan, senders=len(clients) if self._details["sees_clients"] else 1, asked=len(asked.index))
        fits = None if seconds_left is None else self._fitting(game, plan, kept, asked, seconds=seconds_left)
        if fits is not None:
            kept, asked = fits
        reads = attack if isinstance(attack, ReadsTraining) else None
        watch = Watch(game.candidates[asked.index], self._target.model, device=self._device, reads=reads)
        deviation = plan.deviation(self.federation, lambda state, turn: _wanted(attack, state, watch, turn))
        for played in self._rounds(deviation):
            view = plan.view(played, self.play) if played.cohort.round in kept else None
            if view is not None:
                watch.see(view, turn=plan.turn(view.round))
            if watch.views and deadline is not None and time.monotonic() > deadline:
                break
        if not watch.views:
            raise AuditorError("No round of the training released anything to this adversary.")
        expected = sum(bool(set(self._cohort(number)) - plan.own) for number in kept)
        cut = fits is not None or len(watch.views) < expected
        output = pack_watched(_asked_only(watch, asked), self._facts(played=len(watch.views), cut=cut))
        return Made(output, cut)

    def _cohort(self, number: int) -> list[int]:
        return [task.client for task in self.play.cohort(number).tasks]

    def _kept(self, plan: Vantage, *, senders: int, asked: int) -> frozenset[int]:
        """The rounds that are watched: all, or as many as fit, evenly spaced."""
        most = max(1, MOST_FIGURES // max(1, senders * asked))
        rounds = sorted(plan.rounds)
        return frozenset(rounds[i] for i in spaced(len(rounds), min(most, len(rounds))))

    def _fitting(
        self, game: Game, plan: Vantage, kept: frozenset[int], asked: Questions, *, seconds: float
    ) -> tuple[frozenset[int], Questions] | None:
        """Fewer rounds and questions where all do not fit into the time, by a trial on a few; None where all fit."""
        cost = self._cost(game, plan, asked, cohort=tuple(self._cohort(min(kept))))
        if cost is None:
            return None
        affordable = (SHARE_WATCHED * seconds - len(kept) * cost.round) / max(cost.question, 1e-12)
        shares = thinned(affordable, rounds=len(kept), questions=len(asked.index))
        if shares == (len(kept), len(asked.index)):
            return None
        generator = torch.Generator().manual_seed(derive_seed(int(self._details["seed"]), "questions that fit"))
        chosen = torch.randperm(len(asked.index), generator=generator)[: shares.questions].sort().values
        numbers = sorted(kept)
        rounds = frozenset(numbers[i] for i in spaced(len(numbers), shares.rounds))
        return rounds, Questions(asked.index[chosen], asked.asked[chosen], asked.owner[chosen])

    def _cost(self, game: Game, plan: Vantage, asked: Questions, *, cohort: tuple[int, ...]) -> "WatchCost | None":
        """What watching costs, by a trial on a few questions and on more; None where there are too few to tell."""
        names = FunctionalModel(self._target.model).trainable
        before = {name: tensor.to(self._device) for name, tensor in self._initial.items()}
        still = {name: torch.zeros_like(before[name]) for name in names}
        sent = dict.fromkeys(cohort, still) if plan.sees_clients and not plan.from_below else {}
        took = []
        for size in TRIED:
            if len(asked.index) < 2 * size:
                return None
            watch = Watch(game.candidates[asked.index[:size]], self._target.model, device=self._device)
            times = []
            for _ in range(2):  # the first one warms up
                start = time.monotonic()
                watch.see(RoundView(0, before, sent, cohort, still))
                times.append(time.monotonic() - start)
            took.append(min(times))
        question = max(0.0, took[1] - took[0]) / (TRIED[1] - TRIED[0])
        return WatchCost(max(0.0, took[0] - TRIED[0] * question), question)

    def _facts(self, *, played: int, cut: bool) -> dict[str, Any]:
        records = self._target.model.shape.records_per_client
        recipe = local_recipe(self.federation, records)
        told = client_privatisation(self.play.mechanism, recipe, records)
        return {"type": "rounds", "cut": cut, "local": asdict(recipe), "privatisation": asdict(told), "rounds": played}


def _wanted(attack: AltersTraining | None, state: State, watch: Watch, turn: int) -> dict[str, Tensor]:
    assert attack is not None
    return attack.altered(state, watch.candidates, watch.model, turn=turn)


def spaced(length: int, count: int) -> list[int]:
    """``count`` places of ``length``, evenly spaced, the last one always among them."""
    return sorted({length - 1 - math.floor(i * length / count) for i in range(count)}) if count else []


class WatchCost(NamedTuple):
    """Seconds of a round whatever is asked, and of each question beside it."""

    round: float
    question: float


class Thinned(NamedTuple):
    """How many rounds are watched, and how many questions asked."""

    rounds: int
    questions: int


def thinned(affordable: float, *, rounds: int, questions: int) -> Thinned:
    """What fits: :data:`ENOUGH` questions before many rounds, and many rounds before more questions.

    Args:
        affordable: Questions that can be put to one round in the time, over all rounds.
        rounds, questions: As many as there are.
    """
    if affordable >= rounds * questions:
        return Thinned(rounds, questions)
    few = min(questions, max(ENOUGH, int(affordable / rounds)))
    if affordable < few:
        return Thinned(1, max(2, min(questions, int(affordable))))
    return Thinned(min(rounds, int(affordable / few)), few)


def _asked_only(watch: Watch, asked: Questions) -> Watched:
    """The log without questions about clients, or records, that time and rounds did not let be asked about."""
    views = tuple(watch.views)
    seen = torch.tensor(sorted({client for view in views for client in view.cohort}), dtype=torch.int64)
    figures = watch.projections()
    left = torch.isin(asked.asked, seen) & figures.answered
    return Watched(views, figures.about(left), asked.where(left))


def pack_watched(watched: Watched, facts: Mapping[str, Any]) -> bytes:
    """A log as one file; the truth under names of its own."""
    figures, asked = watched.figures, watched.questions
    tensors = {
        "cosines": figures.cosines,
        "losses": figures.losses,
        "aggregate_cosines": figures.aggregate_cosines,
        "received": figures.received,
        "settled": figures.settled,
        "index": asked.index,
        "asked": asked.asked,
        "truth.owner": asked.owner,
    }
    if figures.own is not None and figures.own_aggregate is not None:
        tensors |= {"own": figures.own, "own_aggregate": figures.own_aggregate}
    cohorts = [[view.round, list(view.cohort)] for view in watched.views]
    return pack(tensors, {**facts, "senders": list(figures.senders), "cohorts": cohorts})
