"""Tables as numbers: numeric columns as they are, text and named columns one-hot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auditor.core.errors import TargetError
from auditor.observations.model import Column
from auditor.targets.fields import Values
from auditor.targets.numbers import as_numbers, is_missing_text, stray_cells

MAX_CATEGORIES = 500
_MISSING = "(missing)"


@dataclass(frozen=True)
class EncodedTable:
    """A table as one matrix.

    Attributes:
        matrix: ``(n, width)`` float32; NaN where a number is missing.
        columns: Where each column sits, and how to read it back.
        facts: What was recognised; free of data.
    """

    matrix: Values
    columns: tuple[Column, ...]
    facts: tuple[str, ...]


def encode_table(values: Mapping[str, Values], *, categorical: Sequence[str], where: str) -> EncodedTable:
    """Encode columns in the order given.

    Args:
        values: Name -> cells, shape ``(n,)``.
        categorical: Columns that are one-hot although they are numbers.
        where: For messages.

    Raises:
        TargetError: A text column with so many values that it is a name or a key, or a column of nothing.
    """
    for name in categorical:
        if name not in values:
            raise TargetError(
                f"{where}: categorical names '{name}', which is no input column.",
                remedy=f"The input columns are {', '.join(list(values)[:30])}.",
            )
    blocks: list[Values] = []
    columns: list[Column] = []
    missing: dict[str, str] = {}
    start = 0
    for name, cells in values.items():
        numbers = None if name in categorical else as_numbers(cells)
        if numbers is None and name not in categorical:
            _refuse_nearly_numbers(name, cells, where)
        block = _one_hot(name, cells, missing, where) if numbers is None else _numeric(name, numbers, missing)
        kind = "categorical" if numbers is None else "continuous"
        columns.append(Column(name, start, start + block.shape[1], kind))
        blocks.append(block)
        start += block.shape[1]
    matrix = np.concatenate(blocks, axis=1).astype(np.float32)
    return EncodedTable(
        matrix, tuple(columns), (_widths(columns), *(f"{name}: {what}" for name, what in missing.items()))
    )


def filled(table: EncodedTable, reference: Values) -> Values:
    """The matrix with missing numbers replaced by the column's median over ``reference`` rows."""
    matrix = table.matrix.copy()
    for column in table.columns:
        if column.kind != "continuous":
            continue
        cells = matrix[:, column.start]
        gaps = np.isnan(cells)
        if gaps.any():
            known = cells[reference][~gaps[reference]]
            cells[gaps] = np.median(known if len(known) else cells[~gaps])
    return matrix


def standardised(matrix: Values, columns: Sequence[Column], reference: Values) -> tuple[Values, tuple[Column, ...]]:
    """Numeric columns to mean 0 and standard deviation 1 over ``reference`` rows; a constant column is only centred."""
    matrix = matrix.copy()
    scaled = []
    for column in columns:
        if column.kind != "continuous":
            scaled.append(column)
            continue
        cells = matrix[reference, column.start].astype(np.float64)
        mean, std = float(cells.mean()), float(cells.std())
        std = std if std > 1e-12 * max(1.0, abs(mean)) else 1.0
        matrix[:, column.start] = (matrix[:, column.start] - mean) / std
        scaled.append(Column(column.name, column.start, column.stop, column.kind, scale=std, offset=mean))
    return matrix, tuple(scaled)


def _numeric(name: str, numbers: Values, missing: dict[str, str]) -> Values:
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    gaps = int(np.isnan(numbers).sum())
    if gaps:
        missing[name] = f"{gaps:,} missing numbers replaced by the median of the population split"
    return numbers[:, None]


def _refuse_nearly_numbers(name: str, cells: Values, where: str) -> None:
    """A stray text in a column of numbers would make each of its numbers a category."""
    found = stray_cells(cells)
    if found is None:
        return
    stray, comma = found
    what = "has decimal commas" if comma else f"holds numbers, but {stray:,} of {len(cells):,} cells are none"
    raise TargetError(
        f"{where}: column '{name}' {what}.",
        remedy="Write numbers with a point and leave cells without a value empty, or name the column under "
        "data.categorical.",
    )


def _one_hot(name: str, cells: Values, missing: dict[str, str], where: str) -> Values:
    text = np.array([_category(cell) for cell in cells], dtype=object)
    gaps = is_missing_text(text)
    if gaps.all():
        raise TargetError(
            f"{where}: column '{name}' holds no value at all.", remedy="Leave it out: list the others in data.inputs."
        )
    if gaps.any():
        text[gaps] = _MISSING
        missing[name] = f"{int(gaps.sum()):,} missing values are a category of their own"
    categories, ids = np.unique(text.astype(str), return_inverse=True)
    if len(categories) > MAX_CATEGORIES:
        raise TargetError(
            f"{where}: column '{name}' is text with {len(categories):,} different values (at most {MAX_CATEGORIES}).",
            remedy="Names and keys are no inputs of a table: list the other columns in data.inputs.",
        )
    return np.eye(len(categories), dtype=np.float32)[ids]


def _category(cell: object) -> str:
    """The text of a cell; 1.0 and 1 are one category."""
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell).strip()


def _widths(columns: Sequence[Column]) -> str:
    numeric = sum(column.kind == "continuous" for column in columns)
    one_hot = sum(column.stop - column.start for column in columns if column.kind == "categorical")
    text = f"table of {len(columns)} columns: {numeric} numeric"
    if one_hot:
        text += f", {len(columns) - numeric} categorical in {one_hot} one-hot inputs"
    return f"{text}; {numeric + one_hot} inputs in all"
