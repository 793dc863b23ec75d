"""CUDA's rules of where tensors must lie, for one operation at a time.

Most kernels want every tensor on one device. The exceptions are those of PyTorch: copies cross devices; operations that
go element by element take CPU tensors without dimensions as numbers; a tensor may be indexed (and written to) by CPU
indices; a fill takes its value from anywhere. Generators must be of the device that is drawn on.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tests.devices.generators import device_type

_COPIES = {"aten::copy_", "aten::copy", "aten::_to_copy", "aten::fill_", "aten::fill", "aten::is_same_size"}
_INDEXING = {"aten::index", "aten::_unsafe_index", "aten::index_put", "aten::index_put_", "aten::_unsafe_index_put",
             "aten::_index_put_impl_"}  # fmt: skip
_TAKES_NUMBERS = {"aten::masked_fill", "aten::masked_fill_", "aten::index_fill", "aten::index_fill_"}


class Misplaced(RuntimeError):
    """What torch would raise on CUDA, as the :class:`RuntimeError` that it raises."""


def device_of(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.device:
    """Where the results of one operation lie.

    Args:
        func: The ``OpOverload`` that torch dispatched.
        args: Its positional arguments.
        kwargs: Its named arguments; ``device`` says where a new tensor is to lie.

    Raises:
        Misplaced: when its tensors or its generator lie where CUDA refuses them.
    """
    tensors: list[Tensor] = []
    generators: list[torch.Generator] = []
    for argument in (*args, *kwargs.values()):
        _sort(argument, tensors, generators)
    asked = kwargs.get("device")
    if asked is not None:
        device = torch.device(asked)
    elif not tensors:
        device = torch.device("cpu")
    else:
        device = tensors[0].device
        if len(tensors) > 1 and any(tensor.device != device for tensor in tensors):
            device = _mixed(func, args, tensors)
    for generator in generators:
        if (own := device_type(generator)) != device.type:
            raise Misplaced(f"Expected a '{device.type}' device type for generator but found '{own}'")
    return device


def _sort(argument: Any, tensors: list[Tensor], generators: list[torch.Generator]) -> None:
    if isinstance(argument, Tensor):
        tensors.append(argument)
    elif isinstance(argument, list | tuple):
        for each in argument:
            _sort(each, tensors, generators)
    elif isinstance(argument, torch._C.Generator):
        generators.append(argument)


def _mixed(func: Any, args: Sequence[Any], tensors: Sequence[Tensor]) -> torch.device:
    name = func._schema.name
    if name in _COPIES:
        return tensors[0].device
    if name in _INDEXING:
        return _indexed(func, args)
    if torch.Tag.pointwise in func.tags or name in _TAKES_NUMBERS:
        return _same(func, _without_numbers(func, args, tensors))
    return _same(func, tensors)


def _indexed(func: Any, args: Sequence[Any]) -> torch.device:
    own, indices = args[0], [index for index in args[1] if index is not None]
    if own.device.type == "cpu":
        return _same(func, [own, *indices, *_values(args)])
    values = [value for value in _values(args) if value.dim()]
    return _same(func, [own, *(index for index in indices if index.device.type != "cpu"), *values])


def _values(args: Sequence[Any]) -> list[Tensor]:
    return [value for value in args[2:3] if isinstance(value, Tensor)]


def _without_numbers(func: Any, args: Sequence[Any], tensors: Sequence[Tensor]) -> list[Tensor]:
    """What is left when CPU tensors without dimensions count as numbers; a tensor that is written to never does."""
    written = [arg for arg, said in zip(args, func._schema.arguments, strict=False) if _is_written(said)]
    kept = [t for t in tensors if t.dim() or t.device.type != "cpu" or any(t is one for one in written)]
    return kept or list(tensors)


def _is_written(said: Any) -> bool:
    return said.alias_info is not None and said.alias_info.is_write


def _same(func: Any, tensors: Iterable[Tensor]) -> torch.device:
    devices = list(dict.fromkeys(tensor.device for tensor in tensors))
    if len(devices) > 1:
        raise Misplaced(
            f"Expected all tensors to be on the same device, but found at least two devices, {devices[0]} and "
            f"{devices[1]}! (in {func})"
        )
    return devices[0]
