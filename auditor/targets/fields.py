"""What a data source holds before anything is encoded: named values with one entry a record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.config.problems import suggestion
from auditor.core.errors import TargetError

Values = NDArray[Any]

INPUT_NAMES = ("inputs", "images", "x", "X", "data", "features", "series", "text", "texts", "tokens", "sequences")
LABEL_NAMES = ("labels", "label", "y", "Y", "target", "targets", "class")


@dataclass(frozen=True)
class Fields:
    """Named values of a data source.

    Attributes:
        name: The source as printed, e.g. ``xrays.npz``.
        values: By name; the first axis is the record, and has the same length in all.
        extras: Values that do not belong to records, e.g. ``class_names``.
        facts: What was recognised while reading.
        table: True where every value is one column of a table.
    """

    name: str
    values: dict[str, Values]
    extras: dict[str, Values] = field(default_factory=dict)
    facts: tuple[str, ...] = ()
    table: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.values.values()))) if self.values else 0

    def named(self, name: str, where: str) -> Values:
        """One value.

        Raises:
            TargetError: There is none of that name; says which there are.
        """
        if name not in self.values:
            hint = suggestion(name, self.values) or "."
            raise TargetError(f"{where}: {self.name} has no '{name}'{hint} {self.inventory}")
        return self.values[name]

    @property
    def inventory(self) -> str:
        """The names that there are, for messages."""
        names = list(self.values)
        shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        return f"It has {shown}." if names else "It holds nothing."


def aligned(
    name: str, arrays: Mapping[str, Values], *, inputs: Sequence[str], labels: str | None, where: str
) -> Fields:
    """Arrays of one source, joined where it keeps one array a split (``train_images``, ``x_test``).

    Args:
        name: The source as printed.
        arrays: As read.
        inputs: Names that may hold the inputs, best first.
        labels: Name of the labels, where it is known.
        where: For messages.

    Raises:
        TargetError: No array of these names, or arrays of different length.
    """
    for key in inputs:
        if key in arrays and arrays[key].ndim:
            return _whole(name, arrays, inputs=key, labels=labels, where=where)
    for key in inputs:
        if parts := _split_names(arrays, key, labels):
            return _joined(name, arrays, key, parts)
    if inputs[0] in arrays:
        raise TargetError(f"{where}: '{inputs[0]}' in {name} is a single value, not one entry for each record.")
    holds = f"it has {', '.join(list(arrays)[:20])}" if arrays else "it holds nothing"
    raise TargetError(
        f"{where}: {name} has no '{inputs[0]}'{suggestion(inputs[0], arrays)}; {holds}.",
        remedy="Name the array in target.data.inputs; one array a split, such as train_images, is named images.",
    )


def _whole(name: str, arrays: Mapping[str, Values], *, inputs: str, labels: str | None, where: str) -> Fields:
    records = len(arrays[inputs])
    values = {key: value for key, value in arrays.items() if value.ndim and len(value) == records}
    extras = {key: value for key, value in arrays.items() if key not in values}
    if labels in extras:
        found = len(extras[labels]) if extras[labels].ndim else 0
        raise TargetError(
            f"{where}: '{inputs}' has {records:,} records but '{labels}' has {found:,}.",
            remedy="Give one label for each record.",
        )
    return Fields(name, values, extras)


def _split_names(arrays: Mapping[str, Values], inputs: str, labels: str | None) -> dict[str, str]:
    """Split name -> pattern with ``{}`` for the field, e.g. ``{"train": "train_{}"}``."""
    found = {}
    for key in arrays:
        for pattern, split in (
            ("{split}_{{}}", key.removesuffix(f"_{inputs}")),
            ("{{}}_{split}", key.removeprefix(f"{inputs}_")),
        ):
            filled = pattern.format(split=split)
            if split != key and filled.format(inputs) == key and (labels is None or filled.format(labels) in arrays):
                found[split] = filled
    return found


def _joined(name: str, arrays: Mapping[str, Values], inputs: str, patterns: dict[str, str]) -> Fields:
    lengths = {split: len(arrays[pattern.format(inputs)]) for split, pattern in patterns.items()}
    bases = [key for key in _bases(arrays, patterns) if _belongs(arrays, patterns, lengths, key)]
    values = {key: np.concatenate([arrays[p.format(key)] for p in patterns.values()]) for key in bases}
    values["split"] = np.repeat(list(lengths), list(lengths.values()))
    used = {pattern.format(key) for pattern in patterns.values() for key in bases}
    fact = f"{name} keeps one array a split: " + ", ".join(f"{split} ({n:,})" for split, n in lengths.items())
    return Fields(name, values, {k: v for k, v in arrays.items() if k not in used}, (fact,))


def _bases(arrays: Mapping[str, Values], patterns: dict[str, str]) -> list[str]:
    """Field names that the arrays of the first split have."""
    before, after = next(iter(patterns.values())).split("{}")
    return [
        key[len(before) : len(key) - len(after)] for key in arrays if key.startswith(before) and key.endswith(after)
    ]


def _belongs(arrays: Mapping[str, Values], patterns: dict[str, str], lengths: dict[str, int], key: str) -> bool:
    parts = {split: arrays.get(pattern.format(key)) for split, pattern in patterns.items()}
    fits = all(part is not None and part.ndim and len(part) == lengths[split] for split, part in parts.items())
    return fits and len({part.shape[1:] for part in parts.values() if part is not None}) == 1


def as_values(entries: Sequence[Any] | Values) -> Values:
    """A list as one array: numbers as numbers, text as text, lists of different length as objects."""
    if isinstance(entries, np.ndarray):
        return entries
    if entries and all(isinstance(entry, str) or entry is None for entry in entries):
        return np.array(["" if entry is None else entry for entry in entries], dtype=object)
    if any(entry is None for entry in entries):
        entries = [float("nan") if entry is None else entry for entry in entries]
    try:
        return np.asarray(entries)
    except ValueError:  # lists of different length
        ragged = np.empty(len(entries), dtype=object)
        ragged[:] = list(entries)
        return ragged
