"""The deployed weights, read without running anything that a file holds."""

import hashlib
import pickle
import pickletools
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from auditor.core.errors import TargetError
from auditor.targets.code import said

_HOLDERS = ("state_dict", "model_state_dict", "model", "net", "weights", "params")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "_module.")
_HARMLESS = re.compile(r"(^|\.)(num_batches_tracked)$")
_TENSORS = re.compile(
    r"torch\._utils\._rebuild_\w+|torch\.\w*Storage|torch\.storage\.\w+|torch\.(Size|device|dtype|float\d+|u?int\d+|"
    r"bfloat16|bool)|torch\.nn\.parameter\.Parameter|collections\.(OrderedDict|defaultdict)"
)
_SAFE = "Save them as safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."


def load_weights(path: Path, model: nn.Module, where: str) -> tuple[dict[str, Tensor], list[str]]:
    """Weights that fit ``model``, as float32 on the CPU, and what had to be done to make them fit.

    Raises:
        TargetError: The file is missing, damaged, holds code, or does not fit.
    """
    if not path.is_file():
        raise TargetError(
            f"{where}: there is no file '{path.name}' in {path.parent}.",
            remedy="Paths are relative to the folder of the audit file.",
        )
    facts: list[str] = []
    found = _tensors(_read(path, where), path, where, facts)
    return _fitted(found, model, path, where, facts), facts


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, where: str) -> Any:
    match path.suffix.lower():
        case ".safetensors":
            return _safetensors(path, where)
        case ".npz":
            return _npz(path, where)
        case ".pt" | ".pth" | ".bin" | ".ckpt" | ".tar" | ".th":
            return _torch(path, where)
        case _:
            raise TargetError(
                f"{where}: '{path.name}' is of a kind that cannot be read safely.",
                remedy=f"Allowed: .safetensors, .npz, or .pt/.pth with tensors only. {_SAFE}",
            )


def _safetensors(path: Path, where: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, where, error) from None


def _npz(path: Path, where: str) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: torch.from_numpy(np.array(archive[key])) for key in archive.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        if "Object arrays" in str(error):
            raise TargetError(f"{where}: {path.name} holds Python objects and is not opened.", remedy=_SAFE) from None
        raise _damaged(path, where, error) from None


def _torch(path: Path, where: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of what is refused below anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if "torchscript" in str(error).lower():
            raise TargetError(f"{where}: {path.name} is a TorchScript program, not weights.", remedy=_SAFE) from None
        if asked := _asks_for(path):
            raise TargetError(
                f"{where}: {path.name} holds more than tensors (it asks for {asked}); it could run code and is not "
                "opened.",
                remedy=_SAFE,
            ) from None
        known = ValueError("torch.save did not write it") if isinstance(error, pickle.UnpicklingError) else error
        raise _damaged(path, where, known) from None


def _asks_for(path: Path) -> str:
    """The first Python object beyond tensors that a pickle names, read without unpickling; empty if there is none."""
    try:
        raw = _pickled(path)
        texts: list[str] = []
        for operation, argument, _ in pickletools.genops(raw):
            name = ""
            if operation.name == "GLOBAL":
                name = str(argument).replace(" ", ".")
            elif operation.name == "STACK_GLOBAL" and len(texts) >= 2:
                name = f"{texts[-2]}.{texts[-1]}"
            elif isinstance(argument, str):
                texts.append(argument)
            if name and not _TENSORS.fullmatch(name):
                return name
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return ""
    return ""


def _pickled(path: Path) -> bytes:
    """The pickle of a torch file: an entry of the zip, or the file itself."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(next((name for name in archive.namelist() if name.endswith("data.pkl")), "data.pkl"))


def _damaged(path: Path, where: str, error: Exception) -> TargetError:
    return TargetError(
        f"{where}: {path.name} is damaged or not what its name says ({said(error)[:160]}).",
        remedy="Save or copy the weights again.",
    )


def _tensors(value: Any, path: Path, where: str, facts: list[str]) -> dict[str, Tensor]:
    """The mapping of tensors, also where a checkout holds it under a usual name."""
    while isinstance(value, Mapping) and not any(isinstance(inner, Tensor) for inner in value.values()):
        holder = next((name for name in _HOLDERS if isinstance(value.get(name), Mapping)), None)
        if holder is None:
            break
        facts.append(f"weights were read from '{holder}' of {path.name}")
        value = value[holder]
    found = {str(k): v for k, v in value.items() if isinstance(v, Tensor)} if isinstance(value, Mapping) else {}
    if not found:
        raise TargetError(f"{where}: {path.name} holds no tensors by name.", remedy=_SAFE)
    return found


def _fitted(found: dict[str, Tensor], model: nn.Module, path: Path, where: str, facts: list[str]) -> dict[str, Tensor]:
    own = model.state_dict()
    found = _without_prefix(found, own, facts)
    missing = [name for name in own if name not in found and not _HARMLESS.search(name)]
    unexpected = [name for name in found if name not in own and not _HARMLESS.search(name)]
    shapes = [
        f"{name} is {_shape(found[name])}, the model has {_shape(own[name])}"
        for name in own
        if name in found and found[name].shape != own[name].shape
    ]
    parts = [_few("missing", missing), _few("not in the model", unexpected), _few("of another shape", shapes)]
    if any(parts):
        raise TargetError(
            f"{where}: {path.name} does not fit the model: {'; '.join(filter(None, parts))}.",
            remedy="Use weights that were saved from this architecture.",
        )
    state = {name: found.get(name, own[name]).detach().to(own[name].dtype).clone() for name in own}
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise TargetError(
            f"{where}: {path.name} holds values that are not finite: {_few('', bad)}.",
            remedy="Train or export it again.",
        )
    return state


def _without_prefix(found: dict[str, Tensor], own: Mapping[str, Tensor], facts: list[str]) -> dict[str, Tensor]:
    """Take off what wrappers put before names, where that makes them fit better."""
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in found) and not any(name.startswith(prefix) for name in own):
            facts.append(f"'{prefix}' taken off the names of the weights")
            return _without_prefix({name.removeprefix(prefix): value for name, value in found.items()}, own, facts)
    return found


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def _few(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{what + ' ' if what else ''}{', '.join(names[:3])}{more}"
