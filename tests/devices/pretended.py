"""A pretended second device: CPU tensors that claim to lie elsewhere, so that mixing fails where CUDA would raise.

A tensor "on" the device is a :class:`Held` around a CPU tensor. While :func:`playing` is on, every operation below
autograd and ``torch.func`` comes by :class:`_Play`, which holds it to CUDA's rules of placement (see
:mod:`tests.devices.rules`), computes on the CPU and wraps what the device would own.

What this shows, and what not, is in ``docs/decisions/0008-a-pretended-device-stands-in-for-cuda.md``.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from tests.devices.generators import NAME, HeldGenerator
from tests.devices.rules import device_of

DEVICE = f"{NAME}:0"


class Held(Tensor):
    """A tensor that claims to lie on the device.

    Attributes:
        inner: Its values, on the CPU.
    """

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Held":
        held: Held = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=DEVICE,
        )  # fmt: skip
        held.inner = inner
        return held

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _played(func, args, kwargs or {})

    @property
    def data(self) -> Tensor:
        return self.detach()

    @data.setter
    def data(self, new: Tensor) -> None:
        assert isinstance(new, Held), f"the pretended device does not play `.data =` of a tensor on {new.device}"
        self.inner = new.inner
        torch.Tensor.data.__set__(self, new)  # type: ignore[attr-defined]

    def tolist(self) -> Any:
        """As on CUDA, by way of the CPU; torch refuses it to every subclass."""
        return self.cpu().tolist()

    def __format__(self, spec: str) -> str:
        return format(self.cpu(), spec)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Held({self.inner!r})"


class _Play(TorchDispatchMode):
    """Sees what has no tensor of the device, too: factories, and CPU tensors with a generator of the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _played(func, args, kwargs or {})


@contextmanager
def playing() -> Iterator[str]:
    """The device for a block, as a value for ``device=``."""
    lifts = torch._C._only_lift_cpu_tensors()
    # Without it torch moves the tensor of `torch.tensor(values, device=...)` where no mode sees it.
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        # In one thread: those of a device would only wait for each other.
        with mock.patch.object(torch, "Generator", HeldGenerator), torch.autograd.set_multithreading_enabled(False):
            with _Play():
                yield DEVICE
    finally:
        torch._C._set_only_lift_cpu_tensors(lifts)


def _played(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    device = device_of(func, args, kwargs)
    inside, named = pytree.tree_map(_inner, (tuple(args), dict(kwargs)))
    if "device" in named:
        named["device"] = None if named["device"] is None else _cpu_for(named["device"])
    found = func(*inside, **named)
    return _returned(func, args, kwargs, found, held=device.type == NAME)


def _inner(leaf: Any) -> Any:
    return leaf.inner if isinstance(leaf, Held) else leaf


def _cpu_for(device: Any) -> torch.device:
    return torch.device("cpu") if torch.device(device).type == NAME else torch.device(device)


def _returned(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], found: Any, *, held: bool) -> Any:
    """The results where they belong: an argument that was written to is returned itself."""
    said = func._schema.returns
    written = [_written(func, args, kwargs, one.alias_info) for one in said]
    if len(said) == 1:
        return _placed(found, written[0], held=held)
    if isinstance(found, tuple | list):
        return type(found)(_placed(each, own, held=held) for each, own in zip(found, written, strict=True))
    return found


def _placed(found: Any, own: Any, *, held: bool) -> Any:
    if own is None:
        return pytree.tree_map_only(Tensor, Held, found) if held else found
    if isinstance(own, Held):
        assert own.shape == own.inner.shape, "the pretended device does not play a change of shape in place"
    return own


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], alias: Any) -> Any:
    """The argument that a result is, by the schema's letters."""
    if alias is None or not alias.is_write:
        return None
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.before_set == alias.before_set:
            return args[place] if place < len(args) else kwargs[argument.name]
    return None
