"""Generators of the pretended device."""

from typing import Any
from weakref import WeakValueDictionary

import torch

NAME = "lazy"
"""The pretended device's name. Every build of torch knows this one, with autograd and without a kernel, and nothing
else uses it. It is no accelerator; the device of third parties (``PrivateUse1``) would be one for the whole process."""

_CpuGenerator = torch.Generator


class _AnyGenerator(type(_CpuGenerator)):  # type: ignore[misc]
    """Every generator is an instance of the class that stands in for ``torch.Generator``, wherever it draws."""

    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(one, _CpuGenerator)


class HeldGenerator(_CpuGenerator, metaclass=_AnyGenerator):
    """A CPU generator that claims to be the device's; asked for another device, that device's own."""

    def __new__(cls, device: Any = "cpu") -> Any:
        if torch.device(device).type != NAME:
            return _CpuGenerator(device)
        made = super().__new__(cls)
        _HELD[made._cdata] = made
        return made

    def __init__(self, device: Any = "cpu") -> None:
        super().__init__()

    @property
    def device(self) -> torch.device:
        return torch.device(NAME, 0)


_HELD: WeakValueDictionary[int, HeldGenerator] = WeakValueDictionary()
"""By the address of torch's own object: an operation is handed that in another wrapping."""


def device_type(generator: torch.Generator) -> str:
    """Of which device a generator claims to be."""
    return NAME if generator._cdata in _HELD else generator.device.type  # type: ignore[attr-defined]
