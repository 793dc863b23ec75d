"""Train several federations at once, round by round: their clients are one stack of models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.seeds import derive_seed
from auditor.learning.choice import Choice, How, train_many
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import Trained
from auditor.learning.many import Job
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.simulation.clients import Work
from auditor.simulation.play import Cohort, Play, RoundLog, TrainedFederation
from auditor.simulation.recipe import local_recipe


@dataclass(frozen=True)
class TrainedFederations:
    """Results in the order asked for, and which path the clients' training took, with the reason."""

    results: tuple[TrainedFederation, ...]
    choice: Choice


def train_federations(
    federation: FederationSettings,
    privacy: PrivacySettings,
    model: SharedModel,
    pool: Records,
    subsets: Sequence[Tensor],
    *,
    seeds: Sequence[int],
    groups: Tensor | None = None,
    initial: State | None = None,
    device: str = "cpu",
    how: How | Choice = "auto",
    progress: Callable[[float], None] | None = None,
) -> TrainedFederations:
    """Play federations that differ in their records and seed alone, e.g. the reference models of a membership attack.

    Result i equals ``train_federation(federation, privacy, model, pool[subsets[i]], seed=seeds[i])`` up to rounding;
    bit for bit where the choice is ``serial``. With dropout a stack draws other masks than the serial path.

    Args:
        federation: As in :func:`auditor.simulation.rounds.train_federation`.
        privacy: As there.
        model: As there.
        pool: All records that any of them uses; held once.
        subsets: Indices into ``pool``, one tensor a federation.
        seeds: One a federation.
        groups: Value of the partition column for each record of the pool.
        initial: Weights of round 0 of all; default: each its own fresh ones.
        device: torch device.
        how: ``auto`` times both paths in the first round that has work. Pass a ``Choice`` made earlier to repeat it.
        progress: Called with the fraction of rounds done.

    Raises:
        SimulationError: where settings contradict each other.
        Diverged: where one of them does.
    """
    if not subsets:
        return TrainedFederations((), Choice("serial", "nothing to train"))
    pool = pool.to(device)
    functional = FunctionalModel(model, device=device, batch_norm=federation.batch_norm)
    plays = [
        Play.prepared(
            federation,
            privacy,
            functional,
            pool[subset.to(pool.inputs.device)],
            groups=None if groups is None else groups[subset],
            seed=seed,
        )
        for subset, seed in zip(subsets, seeds, strict=True)
    ]
    lockstep = _Lockstep(plays, pool, subsets, how)
    states = [play.start(initial) for play in plays]
    histories: list[list[RoundLog]] = [[] for _ in plays]
    for round in range(federation.rounds):
        cohorts = [play.cohort(round) for play in plays]
        for i, works in enumerate(lockstep.work(states, cohorts)):
            states[i], log = plays[i].finish(states[i], cohorts[i], works)
            histories[i].append(log)
        if progress is not None:
            progress((round + 1) / federation.rounds)
    results = tuple(p.result(s, h) for p, s, h in zip(plays, states, histories, strict=True))
    return TrainedFederations(results, lockstep.choice)


class _Lockstep:
    """The clients' work of one round of all federations."""

    def __init__(self, plays: list[Play], pool: Records, subsets: Sequence[Tensor], how: How | Choice) -> None:
        self._plays = plays
        self._pool = pool
        self._parts = [[subset[part] for part in play.parts] for play, subset in zip(plays, subsets, strict=True)]
        self._how: How | Choice = how
        if plays and not plays[0].clients.trains_plainly:
            self._how = Choice("serial", "clients clip single records or send a gradient: one client at a time")

    @property
    def choice(self) -> Choice:
        """The path taken."""
        return self._how if isinstance(self._how, Choice) else Choice("serial", "no client trained")

    def work(self, states: Sequence[State], cohorts: Sequence[Cohort]) -> list[list[Work]]:
        """By federation, in the order of its cohort."""
        if isinstance(self._how, Choice) and self._how.how == "serial":
            return [play.work(state, c) for play, state, c in zip(self._plays, states, cohorts, strict=True)]
        jobs = [job for i, cohort in enumerate(cohorts) for job in self._jobs(i, states[i], cohort)]
        done = iter(self._trained(jobs, round=cohorts[0].round))
        return [
            [play.clients.trained(state, next(done)) for _ in cohort.tasks]
            for play, state, cohort in zip(self._plays, states, cohorts, strict=True)
        ]

    def _jobs(self, i: int, state: State, cohort: Cohort) -> list[Job]:
        return [
            Job(
                state, [self._parts[i][task.client][batch] for batch in task.batches], derive_seed(task.seed, "dropout")
            )
            for task in cohort.tasks
        ]

    def _trained(self, jobs: list[Job], *, round: int) -> list[Trained]:
        if not jobs:
            return []
        first = self._plays[0]
        found = train_many(
            first.functional,
            jobs,
            self._pool,
            local_recipe(first.federation, 1),
            how=self._how,
            seed=derive_seed(first.seed, "stack", round),
        )
        if not isinstance(self._how, Choice):
            self._how = found.choice
        return found.results
