"""Executors: where units are done. All share ``map``; no unit knows which one runs it."""

import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from auditor.core.errors import AuditorError
from auditor.engine.environment import computing
from auditor.engine.memory import free_memory, is_out_of_memory
from auditor.engine.units import Maker, Task, UnitResult


class Executor(Protocol):
    """Does units, in any order, and isolates their failures.

    Attributes:
        name: ``serial``, ``processes`` or ``ray``.
        workers: Units under way at once.
    """

    name: str
    workers: int

    def map(self, tasks: Iterable[Task]) -> Iterator[UnitResult]:
        """Results as they come. A task is taken from ``tasks`` only when a worker is free for it."""
        ...

    def close(self) -> None:
        """Stop all workers at once; what they were doing is lost, what was yielded is not."""
        ...


class Serial:
    """Units one after the other in this process."""

    name = "serial"
    workers = 1

    def __init__(self, workshop: Maker) -> None:
        self._workshop = workshop

    def map(self, tasks: Iterable[Task]) -> Iterator[UnitResult]:
        for task in tasks:
            yield execute(self._workshop, task)

    def close(self) -> None:
        """Nothing to stop."""


def execute(workshop: Maker, task: Task) -> UnitResult:
    """Do one unit; whatever goes wrong in it becomes a reason."""
    start, cpu = time.perf_counter(), time.process_time()
    output, cut, reason, trace = b"", False, "", ""
    try:
        with computing(workshop.device):
            made = workshop.make(task)
        output, cut = made.output, made.cut
    except AuditorError as error:
        reason = str(error)
    except Exception as error:  # isolation: one unit's bug must not end the run; the traceback is kept for it
        if is_out_of_memory(error):
            reason = _out_of_memory(workshop.device)
        else:
            reason, trace = failure(error), traceback.format_exc()
    return UnitResult(
        key=task.unit.key,
        output=output,
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu,
        cut=cut,
        reason=reason,
        traceback=trace,
    )


def _out_of_memory(device: str) -> str:
    free_memory(device)
    return f"ran out of memory on {device}. Use fewer workers (compute.workers) or smaller batches."


def failure(error: Exception) -> str:
    """A user's mistake in its own words; of an unexpected error the place, not the message: it may quote a record."""
    if isinstance(error, AuditorError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"stopped by an unexpected {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
