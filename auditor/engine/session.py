"""Does the units of a run: reads what is finished, does the rest within the budget, keeps every result at once."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.engine.executors import Executor
from auditor.engine.left import Left
from auditor.engine.plan import Plan
from auditor.engine.progress import Progress
from auditor.engine.units import Task, Unit, UnitResult
from auditor.engine.views import TRAININGS
from auditor.engine.work import Work
from auditor.store.journal import JournalEntry, UnitStatus
from auditor.store.run_directory import RunDirectory

Allow = Callable[[Unit], float | None]
"""Seconds that a unit may take: None = as long as it needs, 0 or less = it does not start."""


class Clock:
    """The time budget of one run."""

    def __init__(self, minutes: float) -> None:
        self._start = time.monotonic()
        self._seconds = 60.0 * minutes

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds until the budget ends; negative after it."""
        return self._seconds - self.elapsed


@dataclass(frozen=True)
class Stage:
    """Units that do not wait for each other.

    Attributes:
        seconds: Estimated for one worker.
        allow: See :data:`Allow`.
    """

    name: str
    units: Sequence[Unit]
    seconds: float
    allow: Allow


class Session:
    """The units of one run, across resumptions.

    Attributes:
        finished: Units with an output, by key, of this run and of earlier ones.
        failed: Key of a unit to why it has no output.
        refused: Keys of units that the budget did not allow.
        done_now, reused: How many units this run did, and how many it found finished.
        left: What the budget did not allow or cut short, by stage.
    """

    def __init__(self, directory: RunDirectory, executor: Executor, *, clock: Clock, progress: Progress) -> None:
        self._directory = directory
        self._executor = executor
        self._clock = clock
        self._progress = progress
        self.finished: dict[str, JournalEntry] = directory.finished()
        self.failed: dict[str, str] = {}
        self.refused: set[str] = set()
        self.done_now = self.reused = 0
        self.left: list[Left] = []
        self._siblings: dict[str, list[Unit]] = {}

    def cpu_seconds(self, work: Work) -> float:
        """Processor time of all units of ``work`` that have an output, over all resumptions."""
        return sum(self.finished[key].cpu_seconds for key in work.keys if key in self.finished)

    def run(self, plan: Plan, work: Work) -> None:
        """All stages. Attacks that cost little come first, so that a short budget still answers something."""
        self.reused = len(work.keys & self.finished.keys())
        for stage in self.stages(plan, work):
            self.run_stage(stage)

    def stages(self, plan: Plan, work: Work) -> Iterator[Stage]:
        """In the order in which they are done; each is made when the ones before it have ended."""
        watched = [unit for unit in work.observations if unit.details["view"] in TRAININGS]
        fresh = [unit for unit in work.observations if "model" not in unit.inputs and unit not in watched]
        after = [unit for unit in work.observations if "model" in unit.inputs]
        yield Stage("Audited model and updates", [work.train, *fresh], plan.training_seconds, _always)
        yield Stage("Updates and answers of the trained model", after, 0.0, _always)
        rows = [row for row in plan.attacks if row.runs and not row.what_if]
        cheap = [row for row in rows if row.cheap and not row.references and row.view not in TRAININGS]
        yield self._attacks("Quick attacks", [work.attacks[row.key] for row in cheap], _sum(r.seconds for r in cheap))
        yield Stage("Trainings as watched", watched, plan.watching_seconds, lambda unit: self._clock.left / 2)
        over = [row for row in rows if row.view in TRAININGS]
        yield self._attacks(
            "Attacks on trainings", [work.attacks[row.key] for row in over], _sum(r.seconds for r in over)
        )
        games = [unit for units in work.audits.values() for unit in units]
        yield Stage("Canaries for epsilon", games, _sum(audit.seconds for audit in plan.audits), self._whole_units)
        yield self._references(plan, work)
        membership = [row for row in rows if row.references]
        units = [work.attacks[row.key] for row in membership]
        yield self._attacks("Attacks with reference models", units, _sum(r.seconds for r in membership))
        if work.replicas:
            yield from self._further(plan, work)
        costly = [row for row in rows if not row.cheap and not row.references]
        yield self._costly([work.attacks[row.key] for row in costly], _sum(r.seconds for r in costly))
        what_if = [row for row in plan.attacks if row.runs and row.what_if]
        units = [work.attacks[row.key] for row in what_if]
        yield self._attacks("Attacks with other settings", units, _sum(r.seconds for r in what_if))

    def _further(self, plan: Plan, work: Work) -> Iterator[Stage]:
        """Other trainings of the audited model, what they answer, and the attacks on them."""
        each = (plan.trainings - 1) * plan.training_seconds
        yield Stage("Further trainings", [one.train for one in work.replicas], each, self._whole_units)
        seen = [unit for one in work.replicas for unit in one.observations]
        yield Stage("Answers of further trainings", seen, 0.0, lambda _: self._clock.left)
        groups = [units for one in work.replicas for units in one.attacks.values()]
        yield self._attacks("Attacks on further trainings", groups, plan.further_seconds - each)

    def _references(self, plan: Plan, work: Work) -> Stage:
        """Where they do not all fit, they may use half of what is left; the other half is for the other attacks."""
        missing = sum(len(u.details["indices"]) for u in work.references if u.key not in self.finished)
        trained = self.finished.get(work.train.key)
        each = max(plan.reference_seconds, trained.seconds if trained else 0.0)
        whole = missing * each / self._executor.workers
        end = self._clock.elapsed + self._clock.left * (1.0 if whole <= self._clock.left else 0.5)

        def allow(unit: Unit) -> float | None:
            begins = self._clock.elapsed < end and (self._whole_units(unit) or 0.0) > 0
            return None if begins else 0.0

        return Stage("Reference models", work.references, missing * each, allow)

    def _whole_units(self, unit: Unit) -> float | None:
        """For units that nothing cuts short: one begins only where what its like took so far still fits."""
        known, left = self._mean_seconds(unit), self._clock.left
        return left if known is None or known <= left else 0.0

    def _attacks(self, name: str, groups: Sequence[Sequence[Unit]], seconds: float) -> Stage:
        return Stage(name, _in_layers(groups), seconds, lambda unit: self._clock.left)

    def _costly(self, groups: Sequence[Sequence[Unit]], seconds: float) -> Stage:
        """Each attack gets an equal share of what is left for its first update, and goes on while whole ones fit."""
        layers = _in_layers(groups)
        waiting = {unit.key for unit in layers if unit.key not in self.finished}
        sizes: dict[int, set[str]] = {}
        for unit in layers:
            if unit.key in waiting:
                sizes.setdefault(int(unit.details["index"]), set()).add(unit.key)

        def allow(unit: Unit) -> float | None:
            layer = sizes[int(unit.details["index"])]
            rounds = max(1, -(-len(layer) // self._executor.workers))
            layer.discard(unit.key)
            share = self._clock.left / rounds
            known = self._mean_seconds(unit)
            return share if known is None or known <= share else 0.0

        return Stage("Costly attacks", layers, seconds, allow)

    def _mean_seconds(self, unit: Unit) -> float | None:
        """What a whole unit of this attack took so far on these observations; of models, each in its stack."""
        known = [other for other in self._siblings.get(_family(unit), ()) if other.key in self.finished]
        took = sum(self.finished[other.key].seconds for other in known)
        return took / sum(map(_models, known)) * _models(unit) if known else None

    def run_stage(self, stage: Stage) -> None:
        """Do the units of a stage that are not finished and that the budget allows."""
        units = {unit.key: unit for unit in stage.units if unit.key not in self.finished}
        self._siblings = {}
        for unit in stage.units:
            self._siblings.setdefault(_family(unit), []).append(unit)
        if not units:
            return
        self._progress.stage(stage.name, units=len(units), seconds=stage.seconds / self._executor.workers)
        for result in self._executor.map(self._tasks(units.values(), stage.allow)):
            self._keep(units[result.key], result)
            self._progress.unit(units[result.key].name, failed=result.failed)
        self._note_left(stage, units)

    def _note_left(self, stage: Stage, units: Mapping[str, Unit]) -> None:
        """Units that are not done, or cut; each takes what its like took here, or what was estimated."""
        entries = {key: self.finished[key] for key in units if key in self.finished}
        cut = {key for key, entry in entries.items() if entry.status is UnitStatus.CUT}
        open_units = [
            unit for key, unit in units.items() if key not in self.failed and (key not in entries or key in cut)
        ]
        whole = [entry.seconds for key, entry in entries.items() if key not in cut]
        usual = sum(whole) / len(whole) if whole else stage.seconds / len(units)
        seconds = sum(self._mean_seconds(unit) or usual for unit in open_units)
        if open_units:
            self.left.append(Left(stage.name, len(open_units), seconds / self._executor.workers))

    def _tasks(self, units: Iterable[Unit], allow: Allow) -> Iterator[Task]:
        """Tasks that can and may start now; asked for when a worker is free."""
        for unit in units:
            reads = [key for keys in unit.inputs.values() for key in keys]
            if broken := [self.failed[key] for key in reads if key in self.failed]:
                self.failed[unit.key] = broken[0]
                continue
            seconds = allow(unit)
            late = seconds is not None and seconds <= 0
            if late or any(key in self.refused for key in reads):
                self.refused.add(unit.key)
            else:
                yield Task(unit, seconds)

    def _keep(self, unit: Unit, result: UnitResult) -> None:
        status = UnitStatus.FAILED if result.failed else UnitStatus.CUT if result.cut else UnitStatus.DONE
        entry = JournalEntry(
            key=unit.key,
            kind=unit.kind.value,
            name=unit.name,
            status=status,
            seconds=round(result.seconds, 3),
            cpu_seconds=round(result.cpu_seconds, 3),
            reason=result.reason,
        )
        kept = self._directory.save_unit(entry, result.output)
        self.done_now += 1
        if not result.failed:
            self.finished[unit.key] = kept
            return
        self.failed[unit.key] = result.reason
        self._progress.say(f"{unit.name}: {result.reason}")
        if result.traceback:
            self._directory.write_restricted(f"failures/{unit.key}.txt", result.traceback.encode())


def _always(unit: Unit) -> float | None:
    return None


def _sum(seconds: Iterable[float | None]) -> float:
    return sum(value or 0.0 for value in seconds)


def _models(unit: Unit) -> int:
    """How many models a unit trains, where it trains a stack of them."""
    return len(unit.details.get("indices", ())) or 1


def _family(unit: Unit) -> str:
    """Units of one attack on one set of observations; they take about equally long."""
    return f"{unit.name}@{','.join(unit.inputs.get('observation', ()))}"


def _in_layers(groups: Sequence[Sequence[Unit]]) -> list[Unit]:
    """The first update of every attack, then the second of every attack, and so on."""
    deepest = max((len(units) for units in groups), default=0)
    return [units[layer] for layer in range(deepest) for units in groups if layer < len(units)]
