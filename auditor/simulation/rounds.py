"""Train a model by federated rounds."""

from collections.abc import Callable

from torch import Tensor

from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.simulation.play import Play, RoundLog, TrainedFederation

__all__ = ["RoundLog", "TrainedFederation", "train_federation"]


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
    for round in range(federation.rounds):
        cohort = play.cohort(round)
        state, log = play.finish(state, cohort, play.work(state, cohort))
        history.append(log)
        if progress is not None:
            progress((round + 1) / federation.rounds)
    return play.result(state, history)
