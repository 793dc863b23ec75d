"""Tables in text files: separator, header and encoding are recognised."""

import csv
import gzip
import io
import zlib
from pathlib import Path

import numpy as np

from auditor.core.errors import TargetError
from auditor.targets.fields import Fields
from auditor.targets.numbers import as_numbers


def file_text(path: Path, where: str) -> tuple[str, tuple[str, ...]]:
    """The text of a file, unpacked where its name ends in ``.gz``, and a fact where it is not UTF-8.

    Raises:
        TargetError: The file is damaged.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, where, error) from None
    try:
        return raw.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        return raw.decode("latin-1"), (f"{path.name} is not UTF-8; read as Latin-1",)


def damaged(path: Path, where: str, error: Exception) -> TargetError:
    """The error for a file that cannot be read to its end."""
    return TargetError(
        f"{where}: {path.name} is damaged or not what its name says ({str(error).splitlines()[0][:160]}).",
        remedy="Write or copy the file again.",
    )


def read_delimited(path: Path, where: str, *, labels: str | None) -> Fields:
    """Read a table of text; every column holds text cells.

    Args:
        path: The file.
        where: For messages.
        labels: Name of the label column; a number names a column of a table without header by its place.

    Raises:
        TargetError: No records, lines of different length, or two columns of one name.
    """
    text, facts = file_text(path, where)
    try:
        rows = _rows(text)
    except csv.Error as error:
        raise damaged(path, where, error) from None
    names = [cell.strip() for cell in rows[0]] if rows else []
    if _is_record(names, labels):
        names = [str(index) for index in range(len(names))]
        facts = (*facts, f"{path.name} has no header; its columns are called 0 to {len(names) - 1}")
    else:
        rows = rows[1:]
    if not rows:
        raise TargetError(f"{where}: {path.name} holds no records.", remedy="Give a header and one line a record.")
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


def _rows(text: str) -> list[list[str]]:
    """Cells by the separator that the first line uses most; by white space where it has none."""
    lines = [line for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else ""
    delimiter = max(",;\t|", key=first.count)
    if delimiter not in first and len(first.split()) > 1:
        return [line.split() for line in lines]
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    return [row for row in rows if any(cell.strip() for cell in row)]


def _is_record(names: list[str], labels: str | None) -> bool:
    """True where the first line is a record already: all numbers, or the label is named by its place."""
    if not names:
        return False
    if labels is not None and labels.isdecimal() and labels not in names and int(labels) < len(names):
        return True
    return all(name and as_numbers(np.array([name], dtype=object)) is not None for name in names)
