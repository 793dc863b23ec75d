"""Where numbers are computed: device, precision and threads, as recorded and as part of every key."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import torch

from auditor.build import KEY, build
from auditor.core.errors import AuditorError

THREADS = 1
"""Threads of one unit, on every executor: sums depend on their number in the last bits, and small models gain
more from one process per core than from threads."""


def resolve_device(wanted: str) -> str:
    """The torch device of ``compute.device``.

    Raises:
        AuditorError: for a device that this machine does not have.
    """
    cuda = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if cuda else "cpu"
    if wanted.startswith("cuda"):
        index = int(wanted.partition(":")[2] or 0)
        if not cuda or index >= torch.cuda.device_count():
            raise AuditorError(f"compute.device: {wanted} is not on this machine.", remedy="Use 'auto' or 'cpu'.")
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise AuditorError("compute.device: mps is not on this machine.", remedy="Use 'auto' or 'cpu'.")
    return wanted


def default_workers(device: str) -> int:
    """One for each GPU, or one for each core that this process may use."""
    if device.startswith("cuda"):
        return 1 if ":" in device else torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def numeric_environment(device: str) -> dict[str, str]:
    """Everything about the machine that the last bits of a result follow from."""
    if device.startswith("cuda"):
        hardware = torch.cuda.get_device_name(device)
    else:
        hardware = f"{device} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {"torch": str(torch.__version__), "device": hardware, "precision": "float32", "threads": str(THREADS)}


def described_environment(device: str, executor: str) -> dict[str, str]:
    """The numeric environment and the versions that a reader needs to repeat the run."""
    names = ("numpy", "scipy", "opacus", "prv-accountant", "dp-accounting", "safetensors")
    found = {name: _version(name) for name in names}
    return {
        KEY: build(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "executor": executor,
        **numeric_environment(device),
        **{name: number for name, number in found.items() if number},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@contextmanager
def computing(device: str) -> Iterator[None]:
    """Compute with :data:`THREADS` threads and in full float32 precision; the caller's setting comes back after."""
    before = torch.get_num_threads()
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    deterministic = torch.backends.cudnn.deterministic
    torch.set_num_threads(THREADS)
    if device.startswith("cuda"):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.deterministic = deterministic
