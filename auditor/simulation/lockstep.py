"""Train several federations at once, round by round: their clients are one stack of models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.seeds import derive_seed
from auditor.learning.choice import STACK, Choice, How, choose_path
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import Trained
from auditor.learning.many import Job, train_stacked, why_not_stacked
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.simulation.clients import ClientTask, Work
from auditor.simulation.play import Cohort, Play, RoundLog, TrainedFederation
from auditor.simulation.private_stack import PrivateJob, train_private_stack, why_not_private_stack
from auditor.simulation.private_steps import CHUNK_VALUES
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
    plays = _plays(federation, privacy, model, pool, subsets, seeds=seeds, groups=groups, device=device)
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


def measured_choice(
    federation: FederationSettings,
    privacy: PrivacySettings,
    model: SharedModel,
    pool: Records,
    subsets: Sequence[Tensor],
    *,
    seeds: Sequence[int],
    device: str = "cpu",
) -> Choice:
    """The path that ``train_federations`` would choose for the first round, without the training."""
    pool = pool.to(device)
    plays = _plays(federation, privacy, model, pool, subsets, seeds=seeds, groups=None, device=device)
    return _Lockstep(plays, pool, subsets, "auto").chosen([play.start(None) for play in plays])


def _plays(
    federation: FederationSettings,
    privacy: PrivacySettings,
    model: SharedModel,
    pool: Records,
    subsets: Sequence[Tensor],
    *,
    seeds: Sequence[int],
    groups: Tensor | None,
    device: str,
) -> list[Play]:
    functional = FunctionalModel(model, device=device, batch_norm=federation.batch_norm)
    return [
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


class _Item(NamedTuple):
    """One client of one federation in one round; ``batches`` are indices into the pool."""

    play: Play
    state: State
    task: ClientTask
    batches: list[Tensor]


class _Lockstep:
    """The clients' work of one round of all federations."""

    def __init__(self, plays: list[Play], pool: Records, subsets: Sequence[Tensor], how: How | Choice) -> None:
        self._plays = plays
        self._pool = pool
        self._parts = [[subset[part] for part in play.parts] for play, subset in zip(plays, subsets, strict=True)]
        first = plays[0]
        self._model = first.functional
        self._mechanism = first.mechanism
        self._recipe = local_recipe(first.federation, 1)
        self._how: How | Choice = how if isinstance(how, Choice) or how == "auto" else Choice(how, "as asked")

    @property
    def choice(self) -> Choice:
        """The path taken."""
        return self._how if isinstance(self._how, Choice) else Choice("serial", "no client trained")

    def chosen(self, states: Sequence[State]) -> Choice:
        """What the first round would choose."""
        items = self._all([play.cohort(0) for play in self._plays], states)
        return self._chosen(items) if items else self.choice

    def work(self, states: Sequence[State], cohorts: Sequence[Cohort]) -> list[list[Work]]:
        """By federation, in the order of its cohort."""
        items = self._all(cohorts, states)
        if not isinstance(self._how, Choice) and items:
            self._how = self._chosen(items)
        obstacle = self._obstacle(items)
        done = iter(self._serially(items) if self.choice.how == "serial" or obstacle else self._stacked(items))
        return [[next(done) for _ in cohort.tasks] for cohort in cohorts]

    def _all(self, cohorts: Sequence[Cohort], states: Sequence[State]) -> list[_Item]:
        return [item for i, cohort in enumerate(cohorts) for item in self._items(i, states[i], cohort)]

    def _items(self, i: int, state: State, cohort: Cohort) -> list[_Item]:
        parts = self._parts[i]
        return [
            _Item(self._plays[i], state, task, [parts[task.client][batch] for batch in task.batches])
            for task in cohort.tasks
        ]

    def _chosen(self, items: list[_Item]) -> Choice:
        """Time both paths on the first items; what they measure of noise is thrown away."""
        obstacle = self._obstacle(items)
        if obstacle or len(items) < 2:
            return Choice("serial", obstacle or "one client alone")
        spare = [item._replace(play=item.play.rehearsal()) for item in items[: self._size(items)]]
        return choose_path(
            lambda rows: [work.update for work in self._serially(spare[:rows])],
            lambda rows: [work.update for work in self._stacked(spare[:rows])],
            rows=len(spare),
            device=self._model.device,
            random=self._model.drops_out,
        )

    def _obstacle(self, items: list[_Item]) -> str:
        if self._mechanism.clipped == "record":
            return why_not_private_stack(self._mechanism)
        return why_not_stacked(self._model, [Job(item.state, item.batches) for item in items], self._recipe)

    def _serially(self, items: list[_Item]) -> list[Work]:
        return [item.play.client_work(item.state, item.task) for item in items]

    def _stacked(self, items: list[_Item]) -> list[Work]:
        # Clients of like length share a stack, so that few rows idle.
        order = sorted(range(len(items)), key=lambda i: -len(items[i].batches))
        size = self._size(items)
        found: dict[int, Trained] = {}
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            found |= dict(zip(rows, self._one_stack([items[i] for i in rows]), strict=True))
        return [item.play.clients.trained(item.state, found[i]) for i, item in enumerate(items)]

    def _size(self, items: list[_Item]) -> int:
        """Clients in one stack; fewer where DP-SGD's gradients of single records fill the memory."""
        if self._mechanism.clipped != "record":
            return STACK
        longest = max((len(batch) for item in items for batch in item.batches), default=1)
        values = sum(items[0].state[name].numel() for name in self._model.trainable)
        return max(1, min(STACK, CHUNK_VALUES // max(1, longest * values)))

    def _one_stack(self, items: list[_Item]) -> list[Trained]:
        seed = derive_seed(items[0].task.seed, "stack")  # other masks in each round and stack
        if self._mechanism.clipped != "record":
            jobs = [Job(item.state, item.batches) for item in items]
            return train_stacked(self._model, jobs, self._pool, self._recipe, seed=seed)
        private = [
            PrivateJob(item.state, item.batches, item.task.records, item.task.seed, item.play.meter) for item in items
        ]
        return train_private_stack(self._model, private, self._pool, self._recipe, self._mechanism, seed=seed)
