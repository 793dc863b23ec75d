"""Random numbers of modules (initial weights, dropout) under a seed, without touching the global one."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int | None, *, device: str = "cpu") -> Iterator[None]:
    """Run a block under ``seed`` and give torch's generators back as they were. ``None``: leave them alone.

    Modules draw from torch's global generators and take none of their own; this is the only way to make their draws
    follow from a seed. The generators are set directly: ``torch.manual_seed`` also queues work for every other
    accelerator, at a cost of 1.5 ms a call, which a federation pays for each client.
    """
    if seed is None:
        yield
        return
    generators = [torch.default_generator]
    if torch.device(device).type == "cuda":
        current, index = torch.cuda.current_device(), torch.device(device).index
        generators.append(torch.cuda.default_generators[current if index is None else index])
    kept = [generator.get_state() for generator in generators]
    for generator in generators:
        generator.manual_seed(seed)
    try:
        yield
    finally:
        for generator, state in zip(generators, kept, strict=True):
            generator.set_state(state)
