"""Models saved by ``torch.export``: read only where nothing in the file can run code.

``torch.export.load`` falls back to ``torch.load(weights_only=False)``, unpickles opaque constants, evaluates
size expressions with sympy, resolves call targets by attribute lookup from ``torch`` and pastes names into source
code. A file that would reach any of these is refused before it is opened.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from auditor.core.errors import TargetError

_OPERATORS = re.compile(
    r"_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pos|pow|and_|or_|not_|eq|ne|lt|le|gt|ge|abs)"
)
_TARGET = re.compile(
    r"torch\.ops\.(aten|prims|higher_order)\.\w+(\.\w+)*|torch\.sym_(int|float|max|min|not|ite|sqrt|sum)"
    r"|math\.(ceil|floor|trunc|sqrt)"
)
_READS_FILES = re.compile(r"\.from_file\b")
_SYMBOL = re.compile(r"Symbol\('[A-Za-z]\w*'(, [a-z]+=(True|False))*\)")
_EXPRESSION = re.compile(r"[A-Za-z0-9_+\-*/%() ,<>=&|~!]*")
_NAME_IN_EXPRESSION = re.compile(r"[A-Za-z_]\w*")
_EXPRESSION_NAMES = re.compile(
    r"[suz]\d+|Add|Mul|Pow|Integer|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|Eq|Ne|Ge|Le|Gt|Lt|Equality|"
    r"Unequality|GreaterThan|LessThan|StrictGreaterThan|StrictLessThan|And|Or|Not|ModularIndexing|Where|TruncToInt|"
    r"CeilToInt|FloorToInt|RoundToInt|ToFloat|IntTrueDiv|FloatTrueDiv|PowByNatural|FloatPow|int_oo|true|false|"
    r"True|False|evaluate"
)
"""Names that sympy resolves to arithmetic; anything else could reach Python through ``eval``."""
_NAME = re.compile(r"[\w.+:\-]*")
"""Names of inputs and parameters are pasted into the Python source of the module."""
_NEVER_RUN = frozenset({"as_string", "metadata", "guards_code"})
"""Arguments that are quoted, notes of the tracer, and guards that ``module(check_guards=False)`` leaves out."""


def load_exported(path: Path, where: str) -> nn.Module:
    """The module of a ``.pt2`` file.

    Raises:
        TargetError: The file is damaged, of an old format, or holds something that could run code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            refused = next(_dangers(archive), None)
    except (OSError, zipfile.BadZipFile, json.JSONDecodeError, KeyError, UnicodeDecodeError) as error:
        raise _unreadable(path, where, error) from None
    if refused:
        raise TargetError(
            f"{where}: {path.name} is not opened, because {refused}, which may run code.",
            remedy="Export plain tensor operations with torch.export.save of this torch version, or name the model as "
            "FILE.py:callable.",
        )
    try:
        module = torch.export.load(path).module(check_guards=False)
    except Exception as error:
        raise _unreadable(path, where, error) from None
    return module


def _unreadable(path: Path, where: str, error: Exception) -> TargetError:
    return TargetError(
        f"{where}: {path.name} cannot be read as a torch.export file ({str(error).splitlines()[0][:160]}).",
        remedy=f"Write it with torch.export.save of torch {torch.__version__.split('+')[0]}.",
    )


def _dangers(archive: zipfile.ZipFile) -> Iterator[str]:
    """Every reason not to open the file."""
    names = [name.partition("/")[2] for name in archive.namelist()]
    full = dict(zip(names, archive.namelist(), strict=True))
    if "archive_version" not in names:
        yield "it is of an older format with pickled weights"
        return
    for name in names:
        if name.startswith("data/aotinductor/"):
            yield "it holds compiled machine code"
        elif re.fullmatch(r"data/(weights|constants)/[^/]*\.pt", name):
            yield "its weights are pickled"
        elif re.fullmatch(r"data/(weights|constants)/[^/]*config\.json", name):
            yield from _pickled_payload(json.loads(archive.read(full[name])))
        elif name.startswith("data/sample_inputs/"):
            yield from _sample_inputs(archive.read(full[name]))
        elif name.startswith("models/"):
            yield from _program(json.loads(archive.read(full[name])))


def _pickled_payload(config: dict[str, Any]) -> Iterator[str]:
    for payload in config["config"].values():
        stem = str(payload["path_name"])
        if payload.get("use_pickle") or stem.startswith(("custom_obj", "opaque_obj")):
            yield "it holds pickled objects"


def _sample_inputs(raw: bytes) -> Iterator[str]:
    if not raw:
        return
    try:
        torch.load(io.BytesIO(raw), weights_only=True)
    except Exception:
        yield "its sample inputs are pickled objects"


def _program(value: Any, key: str = "") -> Iterator[str]:
    """Walk the graph: call targets, size expressions, enumerations to import, and names that become code."""
    if isinstance(value, list):
        for item in value:
            yield from _program(item, key)
    elif isinstance(value, dict):
        calls = "inputs" in value and "outputs" in value
        for name, inner in value.items():
            if name == "target" and calls:
                if not _is_known(str(inner)):
                    yield f"it calls '{str(inner)[:80]}'"
            elif name not in _NEVER_RUN:
                yield from _text(name, "")
                yield from _program(inner, name)
    elif isinstance(value, str):
        yield from _text(value, key)


def _text(text: str, key: str) -> Iterator[str]:
    if key == "expr_str":
        if not _is_plain(text):
            yield "it holds a size expression that is no arithmetic"
    elif key in ("in_spec", "out_spec", "treespec"):
        if "__enum__" in text:
            yield "it names a Python class to import"
    elif not _NAME.fullmatch(text):
        yield "it holds a name that is no name"


def _is_known(target: str) -> bool:
    known = _OPERATORS.fullmatch(target) or _TARGET.fullmatch(target)
    return bool(known) and not _READS_FILES.search(target)


def _is_plain(expression: str) -> bool:
    expression = _SYMBOL.sub("s0", expression)
    if not _EXPRESSION.fullmatch(expression):
        return False
    return all(_EXPRESSION_NAMES.fullmatch(name) for name in _NAME_IN_EXPRESSION.findall(expression))
