"""Killed at fifty random instants: no corrupt store, no finished unit lost or repeated, the same outputs."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from auditor.engine.executors import Serial
from auditor.engine.packing import unpack
from auditor.engine.progress import Silent
from auditor.engine.session import Clock, Session, Stage
from auditor.engine.units import Task
from auditor.store.run_directory import RunDirectory
from tests.engine.makers import FakeMaker, unit

UNITS = [unit(i) for i in range(400)]
KILLS = 50


def work(folder: Path) -> None:
    with RunDirectory(folder).opened() as directory:
        session = Session(directory, Serial(FakeMaker()), clock=Clock(5), progress=Silent())
        session.run_stage(Stage("units", UNITS, 0.0, lambda unit: None))


def killed(folder: Path, *, after: float) -> bool:
    """Run in a child and kill it; False where it was done before."""
    child = os.fork()
    if child == 0:
        try:
            work(folder)
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def lines(folder: Path) -> list[bytes]:
    path = folder / "journal.jsonl"
    whole = path.read_bytes() if path.exists() else b""
    return [line for line in whole.split(b"\n")[:-1] if line]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fifty_kills(tmp_path: Path) -> None:
    chance = random.Random(2)
    folder = tmp_path / "run"
    kills = 0
    for _ in range(KILLS):
        before = lines(folder)
        kills += killed(folder, after=chance.expovariate(1 / 0.03))
        assert lines(folder)[: len(before)] == before, "a finished unit was lost"
        finished = RunDirectory(folder).finished()
        assert len(finished) == len(lines(folder)), "a journalled unit has no usable output"
    assert kills >= 10
    work(folder)
    after = lines(folder)
    assert len(after) == len(UNITS), "a unit was repeated"
    maker = FakeMaker()
    for one in UNITS:
        path = RunDirectory(folder).output_path(one.key)
        assert path.read_bytes() == maker.make(Task(one)).output
        assert unpack(path).tensors["noise"].shape == (1000,)
    assert not list((folder / "units").glob("*/.*.tmp")) or len(list((folder / "units").glob("*/.*.tmp"))) <= kills
