"""What a good reconstruction is, by modality: unit, measure of quality, and the least quality that counts."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from auditor.core.shape import Modality
from auditor.metrics.similarity import (
    PSNR_CAP,
    Quality,
    cell_accuracy,
    negative_relative_error,
    psnr,
    token_accuracy,
)
from auditor.observations.model import Column, SharedModel

TOLERANCE = 0.319
"""Share of a column's standard deviation within which a continuous cell counts as right (TabLeak's choice)."""


@dataclass(frozen=True)
class Yardstick:
    """How records of one modality are compared.

    Attributes:
        metric: Name of the quality metric, e.g. ``psnr``.
        unit: Its unit.
        quality: Larger is better.
        least: Quality below which nothing counts as recovered, whatever chance achieves.
        lowest, highest: Range of ``quality``.
        shift, scale: Natural value = (model input - shift) * scale, clipped to [0, 1] for pictures.
        columns: For tables.
        words: The rule in plain words.
    """

    metric: str
    unit: str
    quality: Quality
    least: float
    lowest: float
    highest: float
    shift: np.ndarray
    scale: np.ndarray
    columns: tuple[Column, ...]
    words: str

    def natural(self, inputs: Tensor) -> np.ndarray:
        """Records in the unit in which they are compared."""
        values = inputs.detach().cpu().numpy()
        if self.metric == "token_accuracy":
            return np.asarray(values)
        values = (values.astype(np.float64) - self.shift) * self.scale
        return np.asarray(np.clip(values, 0.0, 1.0) if self.metric == "psnr" else values)

    def spread(self, quality: np.ndarray) -> np.ndarray:
        """Quality on a scale on which chance nearness has an exponential tail; errors by their logarithm."""
        if self.metric != "relative_error":
            return quality
        return np.asarray(-np.log(np.maximum(-quality, 1e-300)))

    def gathered(self, score: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`spread`."""
        return score if self.metric != "relative_error" else np.asarray(-np.exp(-score))


def yardstick(model: SharedModel, population: Tensor) -> Yardstick:
    """The yardstick for the records of ``model``; ``population`` gives the spread of columns and missing ranges."""
    match model.modality:
        case Modality.IMAGE | Modality.MULTIMODAL:
            shift, scale = _unit_range(model, population)
            words = "a PSNR of at least 18 dB on values in [0, 1]"
            return Yardstick("psnr", "dB", psnr, 18.0, 0.0, PSNR_CAP, shift, scale, (), words)
        case Modality.TABULAR:
            columns = model.preprocessing.columns or _plain_columns(population.shape[1])
            spread = population.double().std(0).numpy() if len(population) > 1 else np.ones(population.shape[1])
            tolerances = np.array([TOLERANCE * spread[column.start : column.stop].max() for column in columns])
            return Yardstick(
                "cell_accuracy", "fraction", cell_accuracy(columns, tolerances), 0.9, 0.0, 1.0, np.zeros(1), np.ones(1),
                columns, f"nine cells in ten right (categories exactly, numbers within {TOLERANCE} of their spread)",
            )  # fmt: skip
        case Modality.TEXT:
            return Yardstick(
                "token_accuracy", "fraction", token_accuracy, 0.9, 0.0, 1.0, np.zeros(1), np.ones(1), (),
                "nine tokens in ten right at their place",
            )  # fmt: skip
        case Modality.TIMESERIES:
            return Yardstick(
                "relative_error", "1", negative_relative_error, -0.3, -np.inf, 0.0, np.zeros(1), np.ones(1), (),
                "an error of at most 0.3 of the series' own spread",
            )  # fmt: skip


def _unit_range(model: SharedModel, population: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale per channel that bring pictures to [0, 1]."""
    known = model.preprocessing
    if known.std:
        mean, std = np.array(known.mean), np.array(known.std)
        low, high = -mean / std, (1 - mean) / std
    elif known.low and known.high:
        low, high = np.array(known.low), np.array(known.high)
    else:
        low, high = np.zeros(1), np.ones(1)
        if len(population) and (float(population.min()) < 0 or float(population.max()) > 1):
            low, high = np.array([float(population.min())]), np.array([float(population.max())])
    trailing = (1,) * (len(model.shape.input_shape) - 1)
    return low.reshape(-1, *trailing), (1.0 / np.maximum(high - low, 1e-12)).reshape(-1, *trailing)


def _plain_columns(features: int) -> tuple[Column, ...]:
    return tuple(Column(f"feature {i}", i, i + 1, "continuous") for i in range(features))
