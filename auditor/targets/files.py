"""Read data files as named values: npz, csv, jsonl and parquet. Nothing in a file can run code."""

import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from auditor.core.errors import TargetError
from auditor.targets.delimited import damaged, file_text, read_delimited
from auditor.targets.fields import Fields, Values, aligned, as_values

_TABLES = (".csv", ".tsv", ".txt", ".data")
_LINES = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")
SUFFIXES = (".npz", *_TABLES, *_LINES, *_PARQUET)


def read_file(path: Path, *, inputs: Sequence[str], labels: str | None, where: str) -> Fields:
    """Read one data file by its suffix.

    Args:
        path: The file.
        inputs: Names that may hold the inputs, best first (only npz files need them).
        labels: Name of the labels, where it is known.
        where: For messages, e.g. ``audit.yaml:21:5: target.data.path``.

    Raises:
        TargetError: The file is missing, of another kind, or damaged.
    """
    name = path.name.lower().removesuffix(".gz")
    if not path.exists():
        raise TargetError(
            f"{where}: there is no file '{path.name}' in {path.parent}.",
            remedy="Paths are relative to the folder of the audit file.",
        )
    if name.endswith(".npz"):
        return aligned(path.name, _npz(path, where), inputs=inputs, labels=labels, where=where)
    if name.endswith(_TABLES):
        return read_delimited(path, where, labels=labels)
    if name.endswith(_LINES):
        return _jsonl(path, where)
    if name.endswith(_PARQUET):
        return _parquet(path, where)
    raise TargetError(
        f"{where}: '{path.name}' is of a kind that cannot be read.",
        remedy="Allowed: .npz, .csv[.gz], .tsv[.gz], .jsonl[.gz], .parquet, a folder of images, or FILE.py:callable.",
    )


def read_folder(folder: Path, *, inputs: Sequence[str], labels: str | None, where: str) -> Fields | None:
    """A folder with one file a split (``train.csv``, ``test.csv``); None where it holds no data files.

    Raises:
        TargetError: A file is damaged, or the files have nothing in common.
    """
    files = sorted(file for file in folder.iterdir() if _is_data(file))
    if not files:
        return None
    parts = {_split_of(file): read_file(file, inputs=inputs, labels=labels, where=where) for file in files}
    first = next(iter(parts.values()))
    common = [name for name in first.values if all(name in part.values for part in parts.values())]
    if not common or len(parts) != len(files):
        raise TargetError(
            f"{where}: the files in {folder.name}/ have no column in common, or two of them one name.",
            remedy="Keep one file for each split with the same columns: train.csv, test.csv.",
        )
    values = {name: np.concatenate([part.values[name] for part in parts.values()]) for name in common}
    values["split"] = np.repeat(list(parts), [len(part) for part in parts.values()])
    facts = [f"{folder.name}/ holds one file a split: " + ", ".join(f"{s} ({len(p):,})" for s, p in parts.items())]
    facts += [fact for part in parts.values() for fact in part.facts]
    return Fields(f"{folder.name}", values, first.extras, tuple(facts), table=first.table)


def _is_data(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.name.lower().removesuffix(".gz").endswith(SUFFIXES)


def _split_of(file: Path) -> str:
    """``train`` of ``train.csv.gz``."""
    return Path(file.name.removesuffix(".gz")).stem


def _npz(path: Path, where: str) -> dict[str, Values]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except ValueError as error:
        if "Object arrays" in str(error):
            raise TargetError(
                f"{where}: {path.name} holds Python objects, which may run code and are not opened.",
                remedy="Save plain arrays of numbers or text: np.savez(file, images=images, labels=labels).",
            ) from None
        raise damaged(path, where, error) from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise damaged(path, where, error) from None


def _jsonl(path: Path, where: str) -> Fields:
    text, facts = file_text(path, where)
    records: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise TargetError(
                f"{where}: line {number} of {path.name} is not JSON ({getattr(error, 'msg', 'nested too deeply')}).",
                remedy="Write one JSON object a line.",
            ) from None
        if not isinstance(record, dict):
            raise TargetError(
                f"{where}: line {number} of {path.name} is not a JSON object.",
                remedy='Write e.g. {"text": "...", "label": 1}.',
            )
        records.append(record)
    if not records:
        raise TargetError(f"{where}: {path.name} holds no records.", remedy="Write one JSON object a line.")
    names = dict.fromkeys(name for record in records for name in record)
    values = {name: as_values([record.get(name) for record in records]) for name in names}
    return Fields(path.name, values, facts=facts, table=True)


def _parquet(path: Path, where: str) -> Fields:
    read = _parquet_reader(where)
    try:
        table = read(path)
    except (OSError, ValueError) as error:
        raise damaged(path, where, error) from None
    values = {name: as_values(table.column(name).to_pylist()) for name in table.column_names}
    return Fields(path.name, values, table=True)


def _parquet_reader(where: str) -> Callable[[Path], Any]:
    try:
        from pyarrow.parquet import read_table
    except ImportError:
        raise TargetError(
            f"{where}: reading .parquet needs the package pyarrow, which is not installed.",
            remedy="Install it with `pip install 'fl-privacy-auditor[parquet]'`, or save the data as .csv or .npz.",
        ) from None
    return read_table  # type: ignore[no-any-return]
