"""Text cells read as numbers, with the usual marks of a missing value."""

import numpy as np

from auditor.targets.fields import Values

MISSING_NUMBER = frozenset({"", "?", "na", "n/a", "nan", "null", "none", "-", "."})
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
