"""Units on a Ray cluster: this machine, or the one that ``RAY_ADDRESS`` names.

Model, settings and data travel once, through the object store; outputs that later units read travel once to each
worker that needs them. No shared disk is needed, except that a model in a Python file must be at the same path on
every node.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from auditor.core.errors import AuditorError
from auditor.engine.executors import execute
from auditor.engine.units import Maker, Task, UnitResult

Locate = Callable[[str], Path]
OpenOn = Callable[[Any, str, Locate], Maker]
"""(what was shipped, device, where outputs are) -> a worker's own maker; called in the worker."""

_ATTEMPTS = 3
"""A node that goes away takes its units with it through no fault of theirs; a unit that kills its worker each time
is given up."""


class _Seat:
    """One worker of the cluster, with a folder of its own for the outputs that its units read."""

    def __init__(self, opening: OpenOn, shipped: Any, device: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="auditor-")
        self._maker = opening(shipped, device, self._locate)

    def _locate(self, key: str) -> Path:
        return Path(self._folder.name) / f"{key}.safetensors"

    def do(self, task: Task, reads: dict[str, Any]) -> UnitResult:
        """One unit, after fetching what it reads."""
        import ray

        for key, reference in reads.items():
            path = self._locate(key)
            if not path.exists():
                path.write_bytes(ray.get(reference))
        return execute(self._maker, task)


class RayCluster:
    """A fixed number of Ray actors, each with one unit at a time.

    An actor that dies with its process or its node is replaced, and its unit is tried again elsewhere.

    Args:
        opening: Makes a worker's maker from what was shipped.
        shipped: Put into the object store once.
        locate: Where this process finds the outputs of finished units.
        workers: Actors; None = one for each GPU or core of the cluster.
    """

    name = "ray"

    def __init__(self, opening: OpenOn, shipped: Any, *, locate: Locate, device: str, workers: int | None) -> None:
        self._ray = _ray()
        self._started = not self._ray.is_initialized()
        if self._started:
            _initialise(self._ray, workers)
        self._opening = opening
        self._device = device
        self._shipped = self._ray.put(shipped)
        self._locate = locate
        self._kept: dict[str, Any] = {}
        self._seats: list[Any] = []
        self._tries: dict[str, int] = {}
        self.workers = workers or self._capacity()

    def _capacity(self) -> int:
        resource = "GPU" if self._device.startswith("cuda") else "CPU"
        return max(1, int(self._ray.cluster_resources().get(resource, 1)))

    def map(self, tasks: Iterable[Task]) -> Iterator[UnitResult]:
        waiting = iter(tasks)
        again: list[Task] = []
        busy: dict[Any, tuple[Any, Task]] = {}
        while True:
            self._hand_out(waiting, again, busy)
            if not busy:
                return
            ready, _ = self._ray.wait(list(busy), num_returns=1)
            for reference in ready:
                seat, task = busy.pop(reference)
                result = self._received(reference, seat, task, again)
                if result is not None:
                    yield result

    def _hand_out(self, waiting: Iterator[Task], again: list[Task], busy: dict[Any, tuple[Any, Task]]) -> None:
        taken = [seat for seat, _ in busy.values()]
        free = [seat for seat in self._seats if seat not in taken]
        while free or len(self._seats) < self.workers:
            task = again.pop() if again else next(waiting, None)
            if task is None:
                return
            seat = free.pop() if free else self._seat()
            busy[seat.do.remote(task, self._reads(task))] = (seat, task)

    def _seat(self) -> Any:
        share = {"num_gpus": 1} if self._device.startswith("cuda") else {"num_cpus": 1}
        seat = self._ray.remote(**share)(_Seat).remote(self._opening, self._shipped, self._device)
        self._seats.append(seat)
        return seat

    def _reads(self, task: Task) -> dict[str, Any]:
        """References to the outputs that a unit reads; each is put into the object store once.

        They are nested in a dictionary, so that Ray hands over references and a worker fetches only what it lacks.
        """
        keys = [key for keys in task.unit.inputs.values() for key in keys]
        for key in keys:
            if key not in self._kept and self._locate(key).exists():
                self._kept[key] = self._ray.put(self._locate(key).read_bytes())
        return {key: self._kept[key] for key in keys if key in self._kept}

    def _received(self, reference: Any, seat: Any, task: Task, again: list[Task]) -> UnitResult | None:
        """The result of a seat, or None where it died and its unit is tried again."""
        try:
            result: UnitResult = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise _first_cause(error) from None
        except self._ray.exceptions.RayError as error:
            self._seats.remove(seat)
            return self._lost(task, again, error)
        return result

    def _lost(self, task: Task, again: list[Task], error: Exception) -> UnitResult | None:
        key = task.unit.key
        self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries[key] < _ATTEMPTS:
            again.append(task)
            return None
        return UnitResult(key, reason=f"its Ray worker was lost {_ATTEMPTS} times ({type(error).__name__})")

    def close(self) -> None:
        for seat in self._seats:
            self._ray.kill(seat)
        self._seats.clear()
        self._kept.clear()
        if self._started:
            self._ray.shutdown()


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise AuditorError(
            "compute.executor: ray is not installed.",
            remedy="Install it with: pip install 'fl-privacy-auditor[ray]', or use 'processes'.",
        ) from None
    return ray


def _initialise(ray: Any, workers: int | None) -> None:
    """Join the cluster of ``RAY_ADDRESS``, or start one here; no dashboard, no usage statistics."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, configure_logging=False, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise AuditorError(
            f"compute.executor: no Ray cluster answers ({str(error).splitlines()[0]}).",
            remedy="Check RAY_ADDRESS, or unset it to start Ray on this machine.",
        ) from error


def _first_cause(error: Any) -> BaseException:
    """What a worker raised while it opened; units themselves never raise."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, AuditorError) else error
