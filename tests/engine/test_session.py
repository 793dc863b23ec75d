from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.engine.executors import Serial
from auditor.engine.progress import Silent
from auditor.engine.session import Clock, Session, Stage
from auditor.engine.units import Unit
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
