"""From the settings of the data to inputs, labels, splits and groups as they are in the source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from auditor.config.document import AuditDocument
from auditor.config.settings import DataSettings
from auditor.core.errors import TargetError
from auditor.core.shape import Modality, Task
from auditor.targets.code import Named
from auditor.targets.fields import INPUT_NAMES, LABEL_NAMES, Fields, Values, aligned, as_values
from auditor.targets.files import read_file, read_folder
from auditor.targets.image_folder import read_image_folder

_COLUMN_NAMES = ("columns", "feature_names", "column_names", "features")


@dataclass(frozen=True)
class Source:
    """What the settings name in a data source; the first axis of each is the record.

    Attributes:
        inputs: One array, or columns of a table by name.
        labels: None for language models.
        split: Value of the split column, or None.
        groups: Value of the column that the partition names, or None.
        facts: What was recognised; free of data.
    """

    inputs: Values | dict[str, Values]
    labels: Values | None
    split: Values | None
    groups: Values | None
    facts: tuple[str, ...]


def place(document: AuditDocument, setting: str) -> str:
    """``audit.yaml:21:5: target.data.path``, for messages."""
    return f"{document.where(setting)}: {setting}"


def read_source(document: AuditDocument) -> Source:
    """Read the data that the settings name.

    Raises:
        TargetError: It is missing, damaged, or lacks what the settings name.
    """
    target = document.settings.target
    fields = _fields(document)
    if not len(fields):
        raise TargetError(f"{place(document, 'target.data.path')}: {fields.name} holds no records.")
    labels = None if target.task is Task.LANGUAGE_MODEL else _labels(fields, document)
    split = _split_name(fields, document)
    column = document.settings.federation.partition.column
    groups = fields.named(column, place(document, "federation.partition.column")) if column else None
    used = {name for name in (labels, split) if name}
    return Source(
        inputs=_inputs(fields, document, used=used, modality=target.modality),
        labels=None if labels is None else fields.values[labels],
        split=None if split is None else fields.values[split],
        groups=groups,
        facts=fields.facts,
    )


def _fields(document: AuditDocument) -> Fields:
    data = document.settings.target.data
    where = place(document, "target.data.path")
    names = (data.inputs,) if isinstance(data.inputs, str) else tuple(data.inputs or INPUT_NAMES)
    if ":" in data.path and not (document.folder / data.path).exists():
        return _called(Named(data.path, document.folder, where), data, names)
    path = (document.folder / data.path).expanduser()
    if path.is_dir():
        return read_folder(path, inputs=names, labels=data.labels, where=where) or read_image_folder(path, where)
    return read_file(path, inputs=names, labels=data.labels, where=where)


def _called(named: Named, data: DataSettings, names: tuple[str, ...]) -> Fields:
    found = named.call()
    if isinstance(found, tuple) and len(found) == 2:
        found = {"inputs": found[0], "labels": found[1]}
    if hasattr(found, "columns") and hasattr(found, "to_numpy"):  # a data frame
        columns = {str(name): found[name].to_numpy() for name in found.columns}
        return Fields(named.text, columns, table=True)
    if not isinstance(found, Mapping):
        raise TargetError(
            f"{named.where}: {named.text} returned {type(found).__name__}, not a dict of arrays.",
            remedy='Return {"inputs": array, "labels": array}, and "split" where the data has splits.',
        )
    arrays = {str(key): _array(value) for key, value in found.items() if _is_array(value)}
    return aligned(named.text, arrays, inputs=names, labels=data.labels, where=named.where)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | list | tuple) or (hasattr(value, "numpy") and hasattr(value, "shape"))


def _array(value: Any) -> Values:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return as_values(list(value) if isinstance(value, tuple) else value)


def _labels(fields: Fields, document: AuditDocument) -> str:
    named = document.settings.target.data.labels
    where = place(document, "target.data.labels")
    if named:
        # The labels of a folder of images are the names of its sub-folders, whatever the settings call them.
        return "labels" if fields.name.endswith("/") else _present(fields, named, where)
    found = next((name for name in LABEL_NAMES if name in fields.values), None)
    if found is None:
        raise TargetError(
            f"{where}: required, because {fields.name} has nothing called 'labels'. {fields.inventory}",
            remedy="Name the array or column of labels.",
        )
    return found


def _present(fields: Fields, name: str, where: str) -> str:
    fields.named(name, where)
    return name


def _split_name(fields: Fields, document: AuditDocument) -> str | None:
    named = document.settings.target.data.split_by
    if named:
        return _present(fields, named, place(document, "target.data.split_by"))
    return "split" if "split" in fields.values and fields.values["split"].ndim == 1 else None


def _inputs(
    fields: Fields, document: AuditDocument, *, used: set[str], modality: Modality
) -> Values | dict[str, Values]:
    wanted = document.settings.target.data.inputs
    where = place(document, "target.data.inputs")
    if isinstance(wanted, tuple):
        chosen = {name: fields.named(name, where) for name in wanted}
    elif wanted is not None:
        chosen = {wanted: fields.values["inputs"] if fields.name.endswith("/") else fields.named(wanted, where)}
    elif fields.table and modality is not Modality.TEXT:
        chosen = {name: value for name, value in fields.values.items() if name not in used}
    else:
        name = next((name for name in INPUT_NAMES if name in fields.values), None)
        if name is None:
            raise TargetError(
                f"{where}: required, because {fields.name} has nothing called 'inputs'. {fields.inventory}",
                remedy="Name the array, the columns or the text field of the inputs.",
            )
        chosen = {name: fields.values[name]}
    if not chosen:
        raise TargetError(
            f"{where}: {fields.name} has no column beside the label and the split, so there are no inputs.",
            remedy="Give at least one column of inputs.",
        )
    if overlap := sorted(used & chosen.keys()):
        raise TargetError(
            f"{where}: '{overlap[0]}' is named as input, but it is the label or the split.",
            remedy="Leave it out of the inputs; the model must not see it.",
        )
    if modality is Modality.TABULAR:
        return {name: column for key, value in chosen.items() for name, column in _columns(key, value, fields, where)}
    return next(iter(chosen.values())) if len(chosen) == 1 else chosen


def _columns(key: str, value: Values, fields: Fields, where: str) -> list[tuple[str, Values]]:
    """A two-dimensional array as its columns, under their names where the source has them."""
    if value.dtype.names:
        return [(name, value[name]) for name in value.dtype.names]
    if value.ndim == 1:
        return [(key, value)]
    if value.ndim != 2:
        raise TargetError(
            f"{where}: '{key}' has shape {value.shape}; a table is (records, columns).",
            remedy="Name a table, or write modality: image, text or timeseries.",
        )
    width = value.shape[1]
    everything = {**fields.values, **fields.extras}
    names = next(
        (everything[n] for n in _COLUMN_NAMES if n in everything and n != key and everything[n].shape == (width,)), None
    )
    texts = [str(name) for name in names] if names is not None else []
    if len(set(texts)) != width:
        texts = [f"{key}_{index}" for index in range(width)]
    return [(text, value[:, index]) for index, text in enumerate(texts)]
