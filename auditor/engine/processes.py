"""Units on several processes of this machine."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from auditor.core.errors import AuditorError, ExitCode
from auditor.engine.executors import execute
from auditor.engine.units import Maker, Task, UnitResult

OpenWorkshop = Callable[[int], Maker]
"""Called in the worker with its number: the user's model and data are loaded there, not sent."""

_ATTEMPTS = 2


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None


class Processes:
    """A fixed number of spawned workers, each with one unit at a time.

    A worker that dies (killed, out of memory) is replaced and its unit is tried once more; a second death is
    the unit's failure. Workers end with this process, however it ends.
    """

    name = "processes"

    def __init__(self, open_workshop: OpenWorkshop, *, workers: int) -> None:
        self._open = open_workshop
        self.workers = workers
        self._pool: list[_Worker] = []
        self._tries: dict[str, int] = {}
        self._started = 0

    def map(self, tasks: Iterable[Task]) -> Iterator[UnitResult]:
        waiting = iter(tasks)
        again: list[Task] = []
        while True:
            self._hand_out(waiting, again)
            busy = {worker.pipe: worker for worker in self._pool if worker.task is not None}
            if not busy:
                return
            for ready in connection.wait(list(busy)):
                result = self._received(busy[ready], again)  # type: ignore[index]
                if result is not None:
                    yield result

    def _hand_out(self, waiting: Iterator[Task], again: list[Task]) -> None:
        """Give each free worker a task; start a worker only when there is one for it."""
        free = [worker for worker in self._pool if worker.task is None]
        while free or len(self._pool) < self.workers:
            task = again.pop() if again else next(waiting, None)
            if task is None:
                return
            worker = free.pop() if free else self._start()
            worker.task = task
            worker.pipe.send(task)

    def _start(self) -> _Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(self._open, self._started, theirs), daemon=True)
        process.start()
        self._started += 1
        theirs.close()
        worker = _Worker(process, ours)
        self._pool.append(worker)
        return worker

    def _received(self, worker: _Worker, again: list[Task]) -> UnitResult | None:
        """The result of a worker, or None where it died and its unit is tried again."""
        task, worker.task = worker.task, None
        assert task is not None
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            return self._died(worker, task, again)
        if isinstance(answer, AuditorError):
            raise answer
        assert isinstance(answer, UnitResult)
        return answer

    def _died(self, worker: _Worker, task: Task, again: list[Task]) -> UnitResult | None:
        self._pool.remove(worker)
        worker.pipe.close()
        worker.process.join()
        key = task.unit.key
        self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries[key] < _ATTEMPTS:
            again.append(task)
            return None
        return UnitResult(key, reason=f"its worker process died twice ({_ending(worker.process.exitcode)})")

    def close(self) -> None:
        for worker in self._pool:
            worker.process.kill()
        for worker in self._pool:
            worker.process.join()
            worker.pipe.close()
        self._pool.clear()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"{name}; usually the system ran out of memory: use fewer workers" if name == "SIGKILL" else name
    return f"exit code {code}"


def _work(open_workshop: OpenWorkshop, number: int, pipe: Connection) -> None:
    """A worker: loads its workshop, then does units until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C reaches the whole group; only the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        workshop = open_workshop(number)
    except AuditorError as error:
        pipe.send(AuditorError(error.what, remedy=error.remedy, exit_code=ExitCode.USAGE))
        return
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(execute(workshop, task))


def _end_with_parent() -> None:
    """A parent that was killed cannot stop its workers; they would hold memory and compute for nobody."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
