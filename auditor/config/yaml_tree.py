"""YAML read as plain values, each with its line and column. No tag is obeyed, so no file can run code."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from auditor.core.errors import AuditorError, SettingsError

_MAX_NODES = 100_000
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("null", "bool", "int", "float", "str", "seq", "map", "timestamp", "merge", "value")
)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_BASED = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)")


@dataclass(frozen=True)
class Tree:
    """A YAML file as values.

    Attributes:
        name: File name, as printed in positions.
        value: Dicts, lists and scalars.
        positions: ``privacy.noise_multiplier`` -> ``audit.yaml:14:3``: where the key (or list item) starts.
        text: The file as read.
        problems: Duplicate keys and refused tags, each ``file:line:column: path: sentence``.
    """

    name: str
    value: Any
    positions: dict[str, str]
    text: str
    problems: tuple[str, ...]

    def where(self, path: str) -> str:
        """Position of ``path``, or of its nearest parent, or the first line of the file."""
        parts = path.split(".") if path else []
        while parts:
            found = self.positions.get(".".join(parts))
            if found:
                return found
            parts.pop()
        return f"{self.name}:1:1"


def read_yaml(path: Path) -> Tree:
    """Read one YAML document.

    Scalars follow the YAML 1.2 core schema (``no`` and ``on`` are text; ``1e-5`` is a number), which is
    what people expect who never read either standard.

    Raises:
        AuditorError: The file is missing, unreadable or not UTF-8.
        SettingsError: The file is not YAML, or is empty; with line and column.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path.name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{path.name}:1:1"
        raise SettingsError([f"{place}: not YAML: {error.problem or error.context}"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingsError([f"{path.name}:1:1: not YAML: {str(error).splitlines()[0]}"]) from None
    if node is None:
        raise SettingsError([f"{path.name}:1:1: the file is empty; `auditor init` writes a file to start from"])
    walk = _Walk(path.name)
    value = walk.value(node, "", ())
    return Tree(path.name, value, walk.positions, text, tuple(walk.problems))


def _text(path: Path) -> str:
    if path.is_dir():
        inside = path / "audit.yaml"
        remedy = f"Name the file: {inside}." if inside.is_file() else "Name the settings file, e.g. audit.yaml."
        raise AuditorError(f"{path} is a folder, not a settings file.", remedy=remedy)
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise AuditorError(
            f"{path}: there is no such file.", remedy="Check the name, or write a new one with `auditor init`."
        ) from None
    except UnicodeDecodeError as error:
        raise AuditorError(f"{path}: byte {error.start} is not UTF-8 text.", remedy="Save the file as UTF-8.") from None
    except OSError as error:
        raise AuditorError(f"{path} cannot be read: {error.strerror}.", remedy="Check its permissions.") from None


class _Walk:
    """Turns nodes into values and notes where each one stands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.positions: dict[str, str] = {}
        self.problems: list[str] = []
        self.seen = 0

    def value(self, node: yaml.Node, path: str, parents: tuple[int, ...]) -> Any:
        self.seen += 1
        if id(node) in parents or self.seen > _MAX_NODES:
            raise SettingsError([f"{self._place(node)}: {path}: aliases repeat without end; write the values out"])
        if node.tag not in _PLAIN_TAGS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            self._problem(node, path, f"the tag {tag} is not allowed here; write a plain value")
            return None
        parents = (*parents, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, parents)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(child, f"{path}.{index}", parents) for index, child in enumerate(node.value)]
        quoted = isinstance(node, yaml.ScalarNode) and node.style in ("'", '"', "|", ">")
        return node.value if quoted else plain_scalar(node.value)

    def _item(self, node: yaml.Node, path: str, parents: tuple[int, ...]) -> Any:
        self.positions.setdefault(path, self._place(node))
        return self.value(node, path, parents)

    def _mapping(self, node: yaml.MappingNode, path: str, parents: tuple[int, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, child in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key must be a name, not a list or a mapping")
                continue
            key = str(key_node.value)
            below = f"{path}.{key}" if path else key
            if key in values:
                first = self.positions[below].removeprefix(f"{self.name}:")
                self._problem(key_node, below, f"given twice; the first is at {first}; keep one")
                continue
            self.positions[below] = self._place(key_node)
            values[key] = self.value(child, below, parents)
        return values

    def _place(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def _problem(self, node: yaml.Node, path: str, sentence: str) -> None:
        self.problems.append(f"{self._place(node)}: {path}: {sentence}")


def plain_scalar(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar by the YAML 1.2 core schema (plus ``1_000``)."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    if special := _SPECIAL.fullmatch(text):
        return float(special[1] + special[2])
    return text
