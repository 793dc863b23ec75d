"""Random numbers of modules (initial weights, dropout) under a seed, without touching the global one."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int | None, *, device: str = "cpu") -> Iterator[None]:
    """Run a block under ``seed`` and give torch's generators back as they were. ``None``: leave them alone.

    Modules draw from torch's global generator and take no generator of their own; this is the only way to make
    their draws follow from a seed.
    """
    if seed is None:
        yield
        return
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
