"""What the engine itself costs: overhead on work, time to resume, memory as units grow.

Run: ``python -m benchmarks engine``. Times are CPU seconds of this process unless they say otherwise, so that other
programs on the machine do not lengthen them.
"""

import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from auditor.engine.executors import Serial
from auditor.engine.packing import pack
from auditor.engine.progress import Silent
from auditor.engine.session import Clock, Session, Stage
from auditor.engine.units import Made, Task, Unit, UnitKind, make_unit
from auditor.store.run_directory import RunDirectory
from benchmarks.measuring import Options


@dataclass(frozen=True)
class Row:
    """One figure, its limit, and what it speaks of."""

    name: str
    value: float
    limit: float
    unit: str


class Multiply:
    """A unit that multiplies matrices for about ``seconds`` and returns 100 kB."""

    device = "cpu"

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.matrix = torch.randn(256, 256, generator=torch.Generator().manual_seed(0)) / 16

    def work(self) -> torch.Tensor:
        state = self.matrix
        for _ in range(self.repeats):
            state = torch.tanh(self.matrix @ state)
        return state[:100]

    def make(self, task: Task) -> Made:
        return Made(pack({"state": self.work()}, {"index": task.unit.details["index"]}))


def units(count: int) -> list[Unit]:
    return [
        make_unit(UnitKind.ATTACK, "work", target="t", details={"index": i}, seed=i, environment={})
        for i in range(count)
    ]


def done(folder: Path, maker: Multiply, work: Sequence[Unit]) -> None:
    with RunDirectory(folder).opened() as directory:
        session = Session(directory, Serial(maker), clock=Clock(60), progress=Silent())
        session.run_stage(Stage("work", work, 0.0, lambda unit: None))


def overhead(*, seconds: float = 60.0, each: float = 0.3) -> Row:
    """Share of CPU time that the engine adds to a bare loop of the same work."""
    torch.set_num_threads(1)
    probe = Multiply(50)
    probe.work()
    start = time.process_time()
    probe.work()
    repeats = max(1, round(50 * each / (time.process_time() - start)))
    count = round(seconds / each)
    maker = Multiply(repeats)
    start = time.process_time()
    for _ in range(count):
        maker.work()
    bare = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        done(Path(folder) / "run", maker, units(count))
        engine = time.process_time() - start
    return Row(f"overhead over a bare loop ({count} units, {bare:.0f} s)", 100 * (engine / bare - 1), 5.0, "%")


def resume(*, count: int = 10_000) -> Row:
    """Wall seconds from opening a folder with so many finished units to knowing that nothing is left to do."""
    maker, work = Multiply(1), units(count)
    with tempfile.TemporaryDirectory() as folder:
        done(Path(folder) / "run", maker, work)
        start = time.perf_counter()
        done(Path(folder) / "run", maker, work)
        return Row(f"resume with {count:,} finished units", time.perf_counter() - start, 2.0, "s")


def memory(*, few: int = 200, many: int = 4000) -> Row:
    """Growth of peak memory from few to many units of 100 kB each."""
    maker = Multiply(1)
    peaks = []
    for count in (few, many):
        with tempfile.TemporaryDirectory() as folder:
            done(Path(folder) / "run", maker, units(count))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return Row(f"peak memory, {many:,} units against {few:,}", peaks[1] - peaks[0], 30.0, "MiB")


def run(options: Options) -> None:
    """Print the table."""
    long = 6.0 if options.quick else 60.0
    for row in (memory(), resume(count=1000 if options.quick else 10_000), overhead(seconds=long)):
        verdict = "ok" if row.value <= row.limit else "ABOVE"
        print(f"{row.name:<58}{row.value:8.2f} {row.unit:<4} limit {row.limit:g} {row.unit:<4} {verdict}")
