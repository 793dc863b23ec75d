"""A pretended second device: CPU tensors that claim to lie elsewhere, so that mixing fails where CUDA would raise.

A tensor "on" the device is a :class:`Held` around a CPU tensor. While :func:`playing` is on, every operation below
autograd and ``torch.func`` comes by :class:`_Play`, which holds it to CUDA's rules of placement (see
:mod:`tests.devices.rules`), computes on the CPU and wraps what the device would own.

What this shows, and what not, is in ``docs/decisions/0008-a-pretended-device-stands-in-for-cuda.md``.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.devices.generators import NAME, HeldGenerator
from tests.devices.rules import Misplaced, device_of

DEVICE = f"{NAME}:0"


@dataclass
class Log:
    """What happened since :func:`playing` began.

    Attributes:
        refused: Mixings; code may catch the error and go another, slower way.
        held: Tensors that were made on the device.
    """

    refused: list[str] = field(default_factory=list)
    held: int = 0


LOG = Log()


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
        LOG.held += 1
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
    LOG.refused, LOG.held = [], 0
    lifts = torch._C._only_lift_cpu_tensors()
    # Without it torch moves the tensor of `torch.tensor(values, device=...)` where no mode sees it.
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        # In one thread: those of a device would only wait for each other.
        alone = torch.autograd.set_multithreading_enabled(False)
        with mock.patch.object(torch, "Generator", HeldGenerator), alone, _Play():
            yield DEVICE
    finally:
        torch._C._set_only_lift_cpu_tensors(lifts)


def _played(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    try:
        device = device_of(func, args, kwargs)
    except Misplaced as error:
        LOG.refused.append(str(error))
        raise
    inside = [_inner(argument) for argument in args]
    named = {name: _inner(argument) for name, argument in kwargs.items()}
    if named.get("device") is not None:
        named["device"] = _cpu_for(named["device"])
    found = func(*inside, **named)
    said = _written(func)
    if not any(said):
        return _held(found) if device.type == NAME else found
    own = [each and _argument(each, args, kwargs) for each in said]
    return _itself(own[0]) if len(own) == 1 else tuple(_itself(each) for each in own)


def _inner(argument: Any) -> Any:
    if isinstance(argument, Held):
        return argument.inner
    if isinstance(argument, list | tuple):
        return [_inner(each) for each in argument]
    return argument


def _cpu_for(device: Any) -> torch.device:
    return torch.device("cpu") if torch.device(device).type == NAME else torch.device(device)


def _held(found: Any) -> Any:
    if isinstance(found, Tensor):
        return Held(found)
    return type(found)(_held(each) for each in found) if isinstance(found, list | tuple) else found


class _Place(NamedTuple):
    """Where in a call an argument stands that the operation writes to and returns."""

    index: int
    name: str


@cache
def _written(func: Any) -> tuple[_Place | None, ...]:
    """For each result the argument that it is, by the schema's letters."""
    places = {
        frozenset(argument.alias_info.before_set): _Place(index, argument.name)
        for index, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    }
    aliases = [one.alias_info for one in func._schema.returns]
    return tuple(places[frozenset(a.before_set)] if a is not None and a.is_write else None for a in aliases)


def _argument(place: _Place, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return args[place.index] if place.index < len(args) else kwargs[place.name]


def _itself(own: Any) -> Any:
    """An argument that was written to is returned itself, in the shape that it has now."""
    if isinstance(own, Held) and (own.shape, own.stride()) != (own.inner.shape, own.inner.stride()):
        torch.Tensor.data.__set__(own, Held(own.inner))  # type: ignore[attr-defined]
    return own
