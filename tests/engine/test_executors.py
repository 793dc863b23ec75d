import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from auditor.engine.executors import Executor, Serial
from auditor.engine.processes import Processes
from auditor.engine.units import Task, UnitResult
from tests.engine.makers import FakeMaker, open_maker, unit


@pytest.fixture(params=["serial", "processes"])
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Executor]:
    made: Executor
    if request.param == "serial":
        made = Serial(FakeMaker())
    else:
        made = Processes(functools.partial(open_maker, str(tmp_path)), workers=2)
    yield made
    made.close()


def results(executor: Executor, units: list) -> dict[str, UnitResult]:
    return {result.key: result for result in executor.map(Task(unit) for unit in units)}


def test_all_executors_give_the_same_bytes(executor: Executor) -> None:
    units = [unit(i) for i in range(7)]
    found = results(executor, units)
    alone = FakeMaker()
    assert {key: result.output for key, result in found.items()} == {u.key: alone.make(Task(u)).output for u in units}


def test_one_failure_is_one_failure(executor: Executor) -> None:
    units = [unit(0), unit(1, does="fails"), unit(2, does="bug"), unit(3, does="memory"), unit(4)]
    found = [results(executor, units)[u.key] for u in units]
    assert [result.failed for result in found] == [False, True, True, True, False]
    assert found[1].reason == "there was no signal"
    assert found[1].traceback == ""
    assert "ran out of memory on cpu" in found[3].reason


def test_a_bug_names_its_place_and_not_its_message(executor: Executor) -> None:
    found = results(executor, [unit(0, does="bug")])
    result = found[unit(0, does="bug").key]
    assert result.reason.startswith("stopped by an unexpected KeyError at makers.py:")
    assert "Jane" not in result.reason
    assert "KeyError" in result.traceback


def test_tasks_are_taken_only_when_a_worker_is_free(executor: Executor) -> None:
    taken = 0

    def tasks() -> Iterator[Task]:
        nonlocal taken
        for i in range(10):
            taken += 1
            yield Task(unit(i, does="slow"))

    done = 0
    for _ in executor.map(tasks()):
        done += 1
        assert taken <= done + executor.workers
    assert done == 10


def test_units_compute_with_one_thread_and_the_caller_keeps_its_own() -> None:
    before = torch.get_num_threads()
    seen = []

    class Looks(FakeMaker):
        def sum(self, task: Task):  # type: ignore[no-untyped-def]
            seen.append(torch.get_num_threads())
            return super().sum(task)

    list(Serial(Looks()).map([Task(unit(0))]))
    assert seen == [1]
    assert torch.get_num_threads() == before


def test_a_killed_worker_is_replaced_and_its_unit_done(tmp_path: Path) -> None:
    executor = Processes(functools.partial(open_maker, str(tmp_path)), workers=2)
    try:
        units = [unit(0, does="dies_once"), unit(1), unit(2), unit(3)]
        assert not any(result.failed for result in results(executor, units).values())
    finally:
        executor.close()


def test_a_unit_that_kills_its_worker_twice_has_failed(tmp_path: Path) -> None:
    executor = Processes(functools.partial(open_maker, str(tmp_path)), workers=1)
    try:
        units = [unit(0, does="dies"), unit(1)]
        found = results(executor, units)
        assert "died twice (SIGKILL" in found[units[0].key].reason
        assert not found[units[1].key].failed
    finally:
        executor.close()


_PARENT = """
import functools, sys
from auditor.engine.processes import Processes
from auditor.engine.units import Task
from tests.engine.makers import open_maker, unit
if __name__ == "__main__":
    executor = Processes(functools.partial(open_maker, sys.argv[1]), workers=1)
    for result in executor.map(Task(unit(i, does="slow")) for i in range(10_000)):
        print(executor._pool[0].process.pid, flush=True)
"""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path, repository: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    end = time.monotonic() + 20
    while _alive(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _alive(worker)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
