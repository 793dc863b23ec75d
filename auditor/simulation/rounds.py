"""Train a model by federated rounds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.simulation.clients import ClientTask, Work
from auditor.simulation.play import Cohort, Play, RoundLog, Settled, TrainedFederation

__all__ = ["Deviation", "PlayedRound", "RoundLog", "TrainedFederation", "play_rounds", "train_federation"]


@dataclass(frozen=True)
class Deviation:
    """What somebody does who does not follow the protocol.

    Attributes:
        model: Round and model -> what the server sends instead.
        work: What a client received, its task, the size of its cohort, its honest work -> what it does instead.
    """

    model: Callable[[int, State], State] | None = None
    work: Callable[[int, State, ClientTask, int, Work], Work] | None = None


@dataclass(frozen=True)
class PlayedRound:
    """One round with everything in it; what of it is released is for others to say.

    Attributes:
        before: The model that the clients received.
        cohort: Who took part.
        settled: What came of it.
    """

    before: dict[str, Tensor]
    cohort: Cohort
    settled: Settled


def play_rounds(
    play: Play, initial: State | None, *, rounds: int, deviation: Deviation | None = None
) -> Iterator[PlayedRound]:
    """Play round after round; each is forgotten unless the caller keeps it.

    Raises:
        Diverged: where a loss or the model is no longer finite; names the round.
    """
    deviation = deviation or Deviation()
    state = play.start(initial)
    for round in range(rounds):
        cohort = play.cohort(round)
        if deviation.model is not None:
            state = dict(deviation.model(round, state))
        works = play.work(state, cohort)
        if deviation.work is not None:
            works = [
                deviation.work(round, state, task, len(cohort.tasks), work)
                for task, work in zip(cohort.tasks, works, strict=True)
            ]
        settled = play.settle(state, cohort, works)
        yield PlayedRound(state, cohort, settled)
        state = settled.state


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
    functional = FunctionalModel(model, device=device, batch_norm=federation.batch_norm)
    play = Play.prepared(federation, privacy, functional, records, groups=groups, seed=seed)
    state, history = play.start(initial), []
    for played in play_rounds(play, state, rounds=federation.rounds):
        state = played.settled.state
        history.append(played.settled.log)
        if progress is not None:
            progress(len(history) / federation.rounds)
    return play.result(state, history)
