"""Labels as the loss wants them: class ids, regression targets, or the tokens themselves."""

import math
from dataclasses import dataclass

import numpy as np

from auditor.core.errors import TargetError
from auditor.targets.fields import Values
from auditor.targets.numbers import as_numbers


@dataclass(frozen=True)
class Labels:
    """Labels of all records.

    Attributes:
        values: ``(n,)`` int64 classes, or ``(n,)`` / ``(n, k)`` float32 targets.
        classes: Number of classes; for regression the number of targets of a record.
        facts: How they were read; free of data.
    """

    values: Values
    classes: int
    facts: tuple[str, ...] = ()


def class_count(raw: Values) -> int:
    """Distinct classes among raw labels."""
    return raw.shape[1] if _one_hot(raw) else len(np.unique(_flat(raw)))


def class_labels(raw: Values, *, outputs: int, where: str) -> Labels:
    """Class ids in ``range(outputs)``.

    Whole numbers that already are ids of the model's outputs are kept; everything else (text, ids that start
    at 1, gaps) is sorted and numbered.

    Raises:
        TargetError: A label is missing or fractional, there is one class only, or there are more classes than
            outputs.
    """
    if _one_hot(raw):
        return _counted(raw.argmax(axis=1), outputs, where, ("labels are one-hot rows, read as class ids",))
    flat = _flat(raw)
    if flat.ndim != 1:
        raise TargetError(
            f"{where}: the labels have shape {raw.shape}: several for each record.",
            remedy="Give one class for each record, or write task: regression.",
        )
    text = flat.dtype.kind in "OUS"
    numbers = as_numbers(flat) if text else flat.astype(np.float64)
    if numbers is None:
        names = np.array([str(value).strip() for value in flat])
        _refuse_missing(names == "", where)
        classes, ids = np.unique(names, return_inverse=True)
        return _counted(
            ids, outputs, where, (f"{len(classes)} text labels are numbered in alphabetical order",), len(classes)
        )
    _refuse_missing(np.isnan(numbers), where)
    if (numbers != np.round(numbers)).any():
        raise TargetError(
            f"{where}: the labels are fractions, which are no classes.",
            remedy="Write task: regression, or give whole numbers or names of classes.",
        )
    classes, ids = np.unique(numbers, return_inverse=True)
    if classes[0] >= 0 and classes[-1] < outputs:
        return _counted(numbers, outputs, where, (), len(classes))
    return _counted(
        ids, outputs, where, (f"{len(classes)} labels are numbered in ascending order from 0",), len(classes)
    )


def regression_targets(raw: Values, *, where: str) -> Labels:
    """Targets as float32, ``(n,)`` or ``(n, k)``.

    Raises:
        TargetError: A target is no number, or missing.
    """
    numbers = as_numbers(raw.ravel()) if raw.dtype.kind in "OUS" else raw.astype(np.float64).ravel()
    if numbers is None:
        raise TargetError(
            f"{where}: the labels are text, but the task is regression.", remedy="Write task: classification."
        )
    _refuse_missing(~np.isfinite(numbers), where)
    values: Values = numbers.reshape(raw.shape).astype(np.float32)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if len(values) and (values == values[0]).all():
        raise TargetError(
            f"{where}: every record has the same target, so there is nothing to learn.", remedy="Check the labels."
        )
    return Labels(values, math.prod(values.shape[1:]))


def _counted(ids: Values, outputs: int, where: str, facts: tuple[str, ...], classes: int | None = None) -> Labels:
    present = classes or len(np.unique(ids))
    if present < 2:
        raise TargetError(
            f"{where}: every record has the same label, so there is one class only.",
            remedy="Give data with at least two classes; check that the right column or array is named.",
        )
    if ids.max() >= outputs or present > outputs:
        raise TargetError(
            f"{where}: the data has {max(present, int(ids.max()) + 1)} classes, but the model has {outputs} "
            f"output{'s' if outputs != 1 else ''}.",
            remedy="Give the last layer one output for each class (logits), or name the right labels.",
        )
    missing = outputs - present
    more = (f"{missing} of the model's {outputs} classes have no record in the data",) if missing else ()
    return Labels(ids.astype(np.int64), outputs, facts + more)


def _one_hot(raw: Values) -> bool:
    if raw.ndim != 2 or raw.shape[1] < 2 or raw.dtype.kind not in "buif":
        return False
    return bool(np.isin(raw, (0, 1)).all() and (raw.sum(axis=1) == 1).all())


def _flat(raw: Values) -> Values:
    return raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw


def _refuse_missing(missing: Values, where: str) -> None:
    if missing.any():
        raise TargetError(
            f"{where}: {int(missing.sum()):,} records have no label.", remedy="Give each a label, or leave them out."
        )
