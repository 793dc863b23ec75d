"""Text cells read as numbers, with the usual marks of a missing value."""

import numpy as np

from auditor.targets.fields import Values

MISSING_NUMBER = frozenset({"", "?", "na", "n/a", "nan", "null", "none", "-", "."})
MOST_CODES = 20
"""Different numbers up to which a column may hold codes, so that a text among them is a code as well."""
MISSING_TEXT = frozenset({"", "?", "na", "n/a", "nan", "null"})


def as_numbers(cells: Values) -> Values | None:
    """Float64 with NaN where a value is missing; None where a cell is text or no cell holds a number."""
    if cells.dtype.kind in "buif":
        return cells.astype(np.float64)
    if cells.dtype.kind == "M":  # dates as days, NaN where one is missing
        days: Values = cells.astype("datetime64[s]").astype(np.float64) / 86_400
        return np.where(np.isnat(cells), np.nan, days)
    numbers = np.full(len(cells), np.nan)
    known = {text: _number(text) for text in set(map(str, cells))}
    if None in known.values():
        return None
    numbers[:] = [known[str(cell)] for cell in cells]
    return None if np.isnan(numbers).all() else numbers


def stray_cells(cells: Values) -> tuple[int, bool] | None:
    """How many cells keep a column of numbers from being one, and whether that is for decimal commas.

    None where the column is text: where more than one cell in ten that holds something is no number, or where the
    numbers are so few different ones that they may be codes.
    """
    texts, counts = np.unique([str(cell).strip() for cell in cells], return_counts=True)
    for comma in (False, True):
        read = [_number(text.replace(",", ".", 1) if comma else text) for text in texts.tolist()]
        numbers = np.array([number is not None and not np.isnan(number) for number in read])
        stray = int(counts[np.array([number is None for number in read])].sum())
        if numbers.sum() > MOST_CODES and stray * 9 <= int(counts[numbers].sum()) and (comma or stray):
            return stray, comma
    return None


def is_missing_text(cells: Values) -> Values:
    """Where a text cell stands for a missing value."""
    return np.array([str(cell).strip().lower() in MISSING_TEXT for cell in cells], dtype=bool)


def _number(text: str) -> float | None:
    cell = text.strip()
    if cell.lower() in MISSING_NUMBER:
        return float("nan")
    if cell.lower() in ("true", "false"):
        return float(cell.lower() == "true")
    try:
        return float(cell)
    except ValueError:
        return None
