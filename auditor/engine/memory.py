"""What to do when memory runs out: the same work in smaller pieces."""

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


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
