"""Work done twice, on the CPU and on the pretended device, with equal results."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from tests.devices.pretended import LOG, Held, playing


def on_both(work: Callable[[str], Any], *, rtol: float = 1e-4, atol: float = 1e-5, least: int = 20) -> Any:
    """What ``work`` gives on the device, after a comparison with what it gives on the CPU.

    Both are the CPU's kernels on the same numbers, up to layout in memory, which a chain of steps carries on.

    Args:
        work: Called with a value for ``device=``.
        rtol, atol: How far results may differ.
        least: Tensors that are made on the device at least.

    Raises:
        AssertionError: where a mixing was refused and caught, nothing was computed on the device, or results differ.
    """
    expected = list(tensors(work("cpu")))
    with playing() as device:
        found = work(device)
        moved = [one.cpu() for one in tensors(found)]
    assert not LOG.refused
    assert LOG.held > least, "nothing was computed on the device"
    assert moved
    assert len(moved) == len(expected)
    for one, other in zip(moved, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol, equal_nan=True)
    return found


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in a value, in order; fractional numbers count as tensors."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, float):
        yield torch.tensor(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for named in fields(value):
            yield from tensors(getattr(value, named.name))


def all_held(value: Any) -> bool:
    """Does every tensor in a value lie on the device?"""
    return all(isinstance(one, Held) for one in tensors(value))
