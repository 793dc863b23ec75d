"""How much memory a worker may use, and what to do when it runs out: the same work in smaller pieces."""

import gc
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from auditor.config.settings import AuditSettings
from auditor.core.errors import AuditorError
from auditor.core.shape import TargetShape
from auditor.engine.environment import default_workers

Item = TypeVar("Item")
Result = TypeVar("Result")

GIB = 2**30

COPIES = 6
"""Tensors of a model's size that training it holds at once: weights, gradient, Adam's two, the new weights, a copy."""


def worker_share(settings: AuditSettings, *, device: str) -> int | None:
    """Bytes of ``budget.memory`` for each worker; None without a budget."""
    if settings.budget.memory is None:
        return None
    compute = settings.compute
    workers = 1 if compute.executor == "serial" else compute.workers or default_workers(device)
    return int(settings.budget.memory * GIB / workers)


def model_bytes(shape: TargetShape, *, models: int = 1) -> int:
    """What training so many models as one program holds, without activations."""
    return COPIES * 4 * shape.parameters * models


def require_memory(settings: AuditSettings, shape: TargetShape, *, device: str) -> None:
    """Refuse a budget in which no worker can train one model.

    Raises:
        AuditorError: which names what a worker needs.
    """
    share = worker_share(settings, device=device)
    resident = 0 if device.startswith("cuda") else resident_bytes()
    needed = resident + model_bytes(shape)
    if share is not None and share < needed:
        raise AuditorError(
            f"budget.memory: {settings.budget.memory:g} GiB leaves {share / GIB:.2f} GiB for each worker, which needs "
            f"at least {needed / GIB:.2f} GiB for this model.",
            remedy="Raise budget.memory, or use fewer workers (compute.workers).",
        )


def resident_bytes() -> int:
    """Memory that this process holds now; the highest it held where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return peak_bytes()


def peak_bytes() -> int:
    """The most that this process, or one of its ended workers, held at once."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


@contextmanager
def limited(share: int | None, *, device: str) -> Iterator[None]:
    """Let the process grow to ``share`` bytes and no further: an allocation beyond is refused as if memory were full.

    On Linux by the limit on data, on CUDA by torch's own; elsewhere nothing is enforced.
    """
    if share is None:
        yield
    elif device.startswith("cuda"):
        own = torch.device(device).index  # torch refuses "cuda" here; None is the current one
        total = torch.cuda.get_device_properties(own).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, share / total), own)
        yield
    elif sys.platform.startswith("linux"):
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        allowed = _data_bytes() + max(0, share - resident_bytes())
        resource.setrlimit(resource.RLIMIT_DATA, (allowed if hard < 0 else min(allowed, hard), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    else:
        yield


def _data_bytes() -> int:
    """What the system counts against the limit on data."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))


def is_out_of_memory(error: BaseException) -> bool:
    """True for every way in which torch and Python say that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def free_memory(device: str) -> None:
    """Give back what a failed attempt still holds."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def in_halves(
    work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item], *, device: str
) -> list[Result]:
    """``work(items)``, or the results of its halves where memory does not suffice for all at once.

    Raises:
        MemoryError: (or torch's own) where a single item does not fit.
    """
    try:
        return list(work(items))
    except (MemoryError, RuntimeError) as error:
        if len(items) < 2 or not is_out_of_memory(error):
            raise
    free_memory(device)
    middle = len(items) // 2
    return [*in_halves(work, items[:middle], device=device), *in_halves(work, items[middle:], device=device)]
