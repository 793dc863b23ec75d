"""Read data files as named values: npz, csv, jsonl and parquet. Nothing in a file can run code."""

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from auditor.core.errors import TargetError
from auditor.targets.fields import Fields, Values, aligned, as_values
from auditor.targets.numbers import as_numbers

_TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


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
    name = path.name.lower()
    if not path.exists():
        raise TargetError(
            f"{where}: there is no file '{path.name}' in {path.parent}.",
            remedy="Paths are relative to the folder of the audit file.",
        )
    if name.endswith(".npz"):
        return aligned(path.name, _npz(path, where), inputs=inputs, labels=labels, where=where)
    if name.endswith(_TABLES):
        return _csv(path, where)
    if name.endswith((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")):
        return _jsonl(path, where)
    if name.endswith((".parquet", ".pq")):
        return _parquet(path, where)
    raise TargetError(
        f"{where}: '{path.name}' is of a kind that cannot be read.",
        remedy="Allowed: .npz, .csv[.gz], .tsv[.gz], .jsonl[.gz], .parquet, a folder of images, or FILE.py:callable.",
    )


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
        raise _damaged(path, where, error) from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise _damaged(path, where, error) from None


def _damaged(path: Path, where: str, error: Exception) -> TargetError:
    return TargetError(
        f"{where}: {path.name} is damaged or not what its name says ({str(error).splitlines()[0][:160]}).",
        remedy="Write or copy the file again.",
    )


def _text(path: Path, where: str) -> tuple[str, tuple[str, ...]]:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, where, error) from None
    try:
        return raw.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        return raw.decode("latin-1"), (f"{path.name} is not UTF-8; read as Latin-1",)


def _csv(path: Path, where: str) -> Fields:
    text, facts = _text(path, where)
    lines = text.splitlines()
    header = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t|", key=header.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise _damaged(path, where, error) from None
    if len(rows) < 2:
        raise TargetError(f"{where}: {path.name} holds no records.", remedy="Give a header and one line a record.")
    names = [cell.strip() for cell in rows[0]]
    if all(name and as_numbers(np.array([name], dtype=object)) is not None for name in names):
        names = [str(index) for index in range(len(names))]
        facts = (*facts, f"{path.name} has no header; its columns are called 0 to {len(names) - 1}")
    else:
        rows = rows[1:]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TargetError(f"{where}: {path.name} has two columns called '{twice}'.", remedy="Rename one of them.")
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise TargetError(
                f"{where}: record {number + 1} of {path.name} has {len(row)} cells, not {len(names)}.",
                remedy="Mend the line; put text that holds the separator in double quotes.",
            )
    columns = zip(*rows, strict=True)
    values = {
        name: np.array([cell.strip() for cell in column], dtype=object)
        for name, column in zip(names, columns, strict=True)
    }
    return Fields(path.name, values, facts=facts, table=True)


def _jsonl(path: Path, where: str) -> Fields:
    text, facts = _text(path, where)
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
        raise _damaged(path, where, error) from None
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
