from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from auditor.core.canonical import digest
from auditor.engine.executors import Serial, execute
from auditor.engine.progress import Silent
from auditor.engine.session import Clock, Session, Stage
from auditor.engine.units import Made, Task, Unit, UnitResult
from auditor.store.journal import UnitStatus
from auditor.store.run_directory import RunDirectory
from tests.engine.makers import FakeMaker, unit


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[RunDirectory]:
    with RunDirectory(tmp_path / "run").opened() as opened:
        yield opened


def session(directory: RunDirectory, maker: FakeMaker, *, minutes: float = 1.0) -> Session:
    return Session(directory, Serial(maker), clock=Clock(minutes), progress=Silent())


def stage(units: list[Unit], *, seconds: float | None = None) -> Stage:
    return Stage("units", units, 0.0, lambda unit: seconds)


def test_finished_units_are_never_done_again(directory: RunDirectory) -> None:
    units = [unit(i) for i in range(5)]
    first, second = FakeMaker(), FakeMaker()
    session(directory, first).run_stage(stage(units[:3]))
    session(directory, second).run_stage(stage(units))
    assert first.made == [u.key for u in units[:3]]
    assert second.made == [u.key for u in units[3:]]


def test_a_unit_named_twice_is_done_once(directory: RunDirectory) -> None:
    maker = FakeMaker()
    session(directory, maker).run_stage(stage([unit(0), unit(0)]))
    assert maker.made == [unit(0).key]


def test_failed_units_are_tried_again_by_the_next_run(directory: RunDirectory) -> None:
    first, second = FakeMaker(), FakeMaker()
    one = session(directory, first)
    one.run_stage(stage([unit(0, does="fails")]))
    assert list(one.failed.values()) == ["there was no signal"]
    session(directory, second).run_stage(stage([unit(0, does="fails")]))
    assert len(second.made) == 1


def test_a_unit_whose_input_failed_is_not_tried_and_says_why(directory: RunDirectory) -> None:
    broken = unit(0, does="fails")
    after = unit(1, inputs={"model": (broken.key,)})
    last = unit(2, inputs={"observation": (after.key,)})
    maker = FakeMaker()
    one = session(directory, maker)
    for units in ([broken], [after], [last]):
        one.run_stage(stage(units))
    assert maker.made == [broken.key]
    assert one.failed[last.key] == "there was no signal"


def test_without_budget_nothing_starts_and_what_waits_for_it_does_not_either(directory: RunDirectory) -> None:
    late = unit(0)
    after = unit(1, inputs={"references": (late.key,)})
    maker = FakeMaker()
    one = session(directory, maker)
    one.run_stage(stage([late], seconds=0.0))
    one.run_stage(stage([after]))
    assert maker.made == []
    assert one.refused == {late.key, after.key}
    assert one.failed == {}


def test_a_cut_unit_counts_now_and_is_done_again_by_the_next_run(directory: RunDirectory) -> None:
    one = session(directory, FakeMaker())
    one.run_stage(stage([unit(0, does="cut")]))
    assert one.finished[unit(0, does="cut").key].status is UnitStatus.CUT
    assert session(directory, FakeMaker()).finished == {}


def test_an_interruption_keeps_what_was_done(directory: RunDirectory) -> None:
    units = [unit(0), unit(1), unit(2, does="interrupt"), unit(3)]
    with pytest.raises(KeyboardInterrupt):
        session(directory, FakeMaker()).run_stage(stage(units))
    assert set(directory.finished()) == {units[0].key, units[1].key}


def test_the_traceback_of_a_bug_is_kept_for_the_assessor_alone(directory: RunDirectory) -> None:
    one = session(directory, FakeMaker())
    one.run_stage(stage([unit(0, does="bug")]))
    assert "Jane" not in one.failed[unit(0, does="bug").key]
    kept = list((directory.restricted / "failures").iterdir())
    assert "KeyError" in kept[0].read_text()


def test_what_is_left_of_the_budget_reaches_the_unit(directory: RunDirectory) -> None:
    seen = []

    class Looks(FakeMaker):
        def sum(self, task):  # type: ignore[no-untyped-def]
            seen.append(task.seconds_left)
            return super().sum(task)

    session(directory, Looks()).run_stage(stage([unit(0)], seconds=12.5))
    assert seen == [12.5]


class Told(Clock):
    """A clock that moves only by what the units say that they took."""

    def __init__(self, minutes: float) -> None:
        super().__init__(minutes)
        self.now = 0.0

    @property
    def elapsed(self) -> float:
        return self.now


class Slow(FakeMaker):
    """Each unit takes as long as ``seconds`` says, for each model that it trains."""

    def __init__(self, clock: Told, seconds: float) -> None:
        super().__init__()
        self.clock, self.each = clock, seconds

    def make(self, task: Task) -> Made:
        self.made.append(task.unit.key)
        return self.sum(task)


class Timed(Serial):
    """What a unit took is what the clock moved."""

    def __init__(self, maker: Slow) -> None:
        super().__init__(maker)
        self.maker = maker

    def map(self, tasks: Iterable[Task]) -> Iterator[UnitResult]:
        for task in tasks:
            result = execute(self.maker, task)
            took = self.maker.each * (len(task.unit.details.get("indices", ())) or 1)
            self.maker.clock.now += took
            yield replace(result, seconds=took)


def timed(directory: RunDirectory, *, minutes: float, seconds: float) -> tuple[Session, Told, Slow]:
    clock = Told(minutes)
    maker = Slow(clock, seconds)
    return Session(directory, Timed(maker), clock=clock, progress=Silent()), clock, maker


def stack(index: int, models: int) -> Unit:
    made = unit(index)
    details = {**made.details, "indices": list(range(models))}
    return replace(made, name="reference models", details=details, key=digest({"stack": index}))


def test_what_nothing_cuts_is_begun_only_where_its_like_fitted(directory: RunDirectory) -> None:
    """40 s each, 60 s in all: the second would end after 80 s."""
    one, clock, maker = timed(directory, minutes=1.0, seconds=40.0)
    one.run_stage(Stage("games", [replace(unit(i), name="game") for i in range(3)], 120.0, one._whole_units))
    assert len(maker.made) == 1
    assert clock.elapsed == 40.0
    assert len(one.refused) == 2
    assert one.left[0].units == 2


def test_a_smaller_stack_of_models_still_fits(directory: RunDirectory) -> None:
    """4 models take 40 s; of the 20 s that are left, 2 more need all and 4 more need 40."""
    one, clock, maker = timed(directory, minutes=1.0, seconds=10.0)
    plan = SimpleNamespace(reference_seconds=1.0)
    train = unit(9)
    work = SimpleNamespace(references=[stack(0, 4), stack(1, 4), stack(2, 2)], train=train)
    one.run_stage(one._references(plan, work))  # type: ignore[arg-type]
    assert maker.made == [stack(0, 4).key, stack(2, 2).key]
    assert clock.elapsed == 60.0


def test_the_first_unit_of_a_kind_is_begun_and_not_cut(directory: RunDirectory) -> None:
    """The overrun that is left: nobody knows how long the first one takes."""
    one, clock, maker = timed(directory, minutes=1.0, seconds=90.0)
    one.run_stage(Stage("games", [replace(unit(i), name="game") for i in range(2)], 0.0, one._whole_units))
    assert (len(maker.made), clock.elapsed) == (1, 90.0)
