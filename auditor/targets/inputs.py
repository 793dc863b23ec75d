"""Inputs by modality: their content for comparing records, and the floats or tokens that enter the model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from auditor.config.settings import DataSettings, NormaliseSettings
from auditor.core.errors import TargetError
from auditor.core.shape import Modality
from auditor.observations.model import Preprocessing
from auditor.targets.code import Named
from auditor.targets.fields import Values
from auditor.targets.image_folder import decoded_pictures
from auditor.targets.layouts import AS_IS, Layout, image_layouts, series_layouts
from auditor.targets.numbers import as_numbers
from auditor.targets.scaling import Scaled, finite_series, pixel_range, scaled_channels
from auditor.targets.table import encode_table, filled, standardised
from auditor.targets.tokens import tokens

Columns = Mapping[str, Values]
Normalise = NormaliseSettings | str | None


@dataclass(frozen=True)
class Inputs:
    """Inputs of all records before splits and layout are known.

    Attributes:
        content: ``(n, ...)``: equal records have equal rows.
        layouts: Arrangements that a model may take, best guess first.
        as_floats: Rows of ``content`` as a model would take them, for a trial batch.
        prepared: (layout, records of the population) -> all inputs in that layout.
        vocabulary: Token ids, for text: the largest plus one; else 0.
        facts: What was recognised; free of data.
    """

    content: Values
    layouts: list[Layout]
    as_floats: Callable[[Values], Values]
    prepared: Callable[[Layout, Values], Scaled]
    vocabulary: int = 0
    facts: tuple[str, ...] = ()


def read_inputs(
    raw: Values | Columns, *, modality: Modality, data: DataSettings, tokenizer: Named | None, where: Mapping[str, str]
) -> Inputs:
    """Recognise the inputs of one modality.

    Args:
        raw: One array, or the columns of a table by name.
        modality: What a record is.
        data: The settings of the data.
        tokenizer: For text.
        where: Places of ``inputs``, ``normalise`` and ``categorical``, for messages.

    Raises:
        TargetError: The values do not fit the modality.
    """
    place = where["inputs"]
    match modality:
        case Modality.TABULAR:
            table = raw if isinstance(raw, Mapping) else {"inputs": raw}
            return _table(table, data, where)
        case Modality.TEXT:
            return _text(_one_array(raw, place, join=True), data, tokenizer, place)
        case Modality.IMAGE:
            pictures = _one_array(raw, place)
            encoded = pictures.dtype == object and pictures.ndim == 1
            return _pictures(decoded_pictures(pictures, place) if encoded else pictures, data.normalise, where)
        case Modality.TIMESERIES:
            return _series(_one_array(raw, place), data.normalise, where)
        case Modality.MULTIMODAL:
            raise TargetError(
                f"{place}: inputs of several kinds at once (multimodal) cannot be loaded by this version.",
                remedy="Audit one input of the model at a time: image, tabular, text or timeseries.",
            )


def _one_array(raw: Values | Columns, where: str, *, join: bool = False) -> Values:
    """Columns of a table side by side, for pictures, series and tokens that are stored one value a column."""
    if not isinstance(raw, Mapping):
        return raw
    if len(raw) == 1:
        return next(iter(raw.values()))
    numbers = {name: as_numbers(column) if column.ndim == 1 else None for name, column in raw.items()}
    if text := next((name for name, column in numbers.items() if column is None), None):
        raise TargetError(
            f"{where}: column '{text}' is no column of numbers.",
            remedy="Name the one column or the list of columns that hold the inputs in target.data.inputs.",
        )
    joined = np.stack([column for column in numbers.values() if column is not None], axis=1)
    return joined.astype(np.int64) if join else joined


def _table(values: Columns, data: DataSettings, where: Mapping[str, str]) -> Inputs:
    table = encode_table(values, categorical=data.categorical, where=where["categorical"])
    constants = data.normalise
    if isinstance(constants, NormaliseSettings):
        raise TargetError(
            f"{where['normalise']}: mean and std are for channels of pictures and series, not for columns.",
            remedy="Write normalise: standardise, or leave it out.",
        )

    def prepared(layout: Layout, reference: Values) -> Scaled:
        matrix = filled(table, reference)
        if constants is None:
            return Scaled(
                layout.arrange(matrix), Preprocessing(columns=table.columns), _raw_range(matrix, table.columns)
            )
        matrix, columns = standardised(matrix, table.columns, reference)
        fact = "numeric columns standardised with mean and standard deviation of the population split"
        return Scaled(layout.arrange(matrix), Preprocessing(columns=columns), (fact,))

    return Inputs(table.matrix, [AS_IS], lambda rows: np.nan_to_num(rows), prepared, facts=table.facts)


def _raw_range(matrix: Values, columns: tuple[object, ...]) -> tuple[str, ...]:
    """Large raw numbers make training diverge; say so before it does."""
    if np.abs(matrix).max(initial=0.0) <= 100:
        return ()
    return ("numeric columns are taken as they are and exceed 100; `normalise: standardise` would scale them",)


def _text(raw: Values, data: DataSettings, tokenizer: Named | None, where: str) -> Inputs:
    made = tokens(raw, tokenizer=tokenizer, max_tokens=data.max_tokens, where=where)
    vocabulary = int(made.ids.max(initial=0)) + 1

    def prepared(layout: Layout, reference: Values) -> Scaled:
        return Scaled(layout.arrange(made.ids), Preprocessing(vocabulary=vocabulary), ())

    return Inputs(made.ids, [AS_IS], lambda rows: rows, prepared, vocabulary, made.facts)


def _pictures(raw: Values, normalise: Normalise, where: Mapping[str, str]) -> Inputs:
    pixels = pixel_range(raw, where["inputs"])

    def floats(rows: Values) -> Values:
        return rows.astype(np.float32) / np.float32(pixels.divisor)

    def prepared(layout: Layout, reference: Values) -> Scaled:
        return scaled_channels(
            layout.arrange(floats(raw)),
            axis=layout.channel,
            normalise=normalise,
            reference=reference,
            unit=pixels.unit,
            where=where["normalise"],
        )

    return Inputs(raw, image_layouts(raw.shape[1:]), floats, prepared, facts=(pixels.fact,))


def _series(raw: Values, normalise: Normalise, where: Mapping[str, str]) -> Inputs:
    array = finite_series(raw, where["inputs"])

    def prepared(layout: Layout, reference: Values) -> Scaled:
        return scaled_channels(
            layout.arrange(array),
            axis=layout.channel,
            normalise=normalise,
            reference=reference,
            unit=False,
            where=where["normalise"],
        )

    return Inputs(array, series_layouts(array.shape[1:]), lambda rows: rows, prepared)
