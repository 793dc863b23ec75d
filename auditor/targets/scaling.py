"""Pictures and series as the floats that enter the model, and the box that valid inputs lie in."""

from dataclasses import dataclass

import numpy as np

from auditor.config.settings import NormaliseSettings
from auditor.core.errors import TargetError
from auditor.observations.model import Preprocessing
from auditor.targets.fields import Values


@dataclass(frozen=True)
class Scaled:
    """Float inputs with what was done to them."""

    inputs: Values
    preprocessing: Preprocessing
    facts: tuple[str, ...]


@dataclass(frozen=True)
class PixelRange:
    """How pixel values become floats: value / ``divisor``; ``unit`` where the result lies in [0, 1]."""

    divisor: float
    unit: bool
    fact: str


def pixel_range(raw: Values, where: str) -> PixelRange:
    """The range of pictures, from their type and extremes.

    Raises:
        TargetError: The array holds no numbers, or some are not finite.
    """
    if raw.dtype.kind not in "buif" or raw.ndim not in (2, 3, 4):
        raise TargetError(
            f"{where}: pictures of shape {raw.shape} and type {raw.dtype} cannot be read.",
            remedy="Give an array of numbers (records, height, width[, channels]) of one size.",
        )
    low, high = float(raw.min()), float(raw.max())
    if not np.isfinite((low, high)).all():
        raise _not_finite(where)
    if low >= 0 and high <= 1:
        return PixelRange(1.0, True, "pixel values lie in [0, 1]")
    # Other whole numbers may be grey levels 0 to 16 as well; only bytes and large values speak for themselves.
    whole = raw.dtype == np.uint8 or (high > 127 and not (raw[:64] % 1).any())
    if whole and low >= 0 and high <= 65535:
        top = 255 if high <= 255 else 65535
        return PixelRange(float(top), True, f"pixel values 0 to {top} scaled to [0, 1]")
    return PixelRange(1.0, False, "pixel values leave [0, 1] and are taken as they are")


def scaled_channels(
    array: Values,
    *,
    axis: int | None,
    normalise: NormaliseSettings | str | None,
    reference: Values,
    unit: bool,
    where: str,
) -> Scaled:
    """Apply (value - mean) / std for each channel.

    Args:
        array: ``(n, ...)`` float32.
        axis: Axis of the channels in ``array``; None = one channel without an axis.
        normalise: Constants, ``standardise``, or None.
        reference: Records whose statistics ``standardise`` uses.
        unit: True where the values lie in [0, 1]; then the box of valid inputs is known.
        where: Place of the setting, for messages.

    Raises:
        TargetError: Another number of constants than channels.
    """
    channels = 1 if axis is None else array.shape[axis]
    others = tuple(i for i in range(array.ndim) if i != axis)
    fact: tuple[str, ...] = ()
    if normalise is None:
        ends = channels if axis in (None, 1) else 1
        box = Preprocessing(low=(0.0,) * ends, high=(1.0,) * ends) if unit else Preprocessing()
        return Scaled(array, box, fact)
    if isinstance(normalise, str):
        mean = np.atleast_1d(array[reference].mean(axis=others, dtype=np.float64))
        std = np.atleast_1d(array[reference].std(axis=others, dtype=np.float64))
        std = np.where(std > 1e-12, std, 1.0)
        fact = ("channels standardised with mean and standard deviation of the population split",)
    else:
        mean, std = _constants(normalise, channels, where)
    shape = [1] * array.ndim
    if axis is not None:
        shape[axis] = channels
    inputs = ((array - mean.reshape(shape)) / std.reshape(shape)).astype(np.float32)
    return Scaled(inputs, _public(mean, std, axis=axis) if unit else Preprocessing(), fact)


def _public(mean: Values, std: Values, *, axis: int | None) -> Preprocessing:
    """Constants and box of pictures in [0, 1]. Where channels come last, one box that holds all of them."""
    low, high = (0 - mean) / std, (1 - mean) / std
    if axis not in (None, 1):
        return Preprocessing(low=(float(low.min()),), high=(float(high.max()),))
    return Preprocessing(mean=_floats(mean), std=_floats(std), low=_floats(low), high=_floats(high))


def _floats(values: Values) -> tuple[float, ...]:
    return tuple(map(float, values))


def _constants(normalise: NormaliseSettings, channels: int, where: str) -> tuple[Values, Values]:
    mean, std = np.array(normalise.mean), np.array(normalise.std)
    if len(mean) == 1:
        return np.repeat(mean, channels), np.repeat(std, channels)
    if len(mean) != channels:
        raise TargetError(
            f"{where}: {len(mean)} means for data with {channels} channel{'s' if channels != 1 else ''}.",
            remedy="Give one mean and one standard deviation for each channel, or one for all.",
        )
    return mean, std


def finite_series(raw: Values, where: str) -> Values:
    """Series as float32.

    Raises:
        TargetError: They hold no numbers, are of different length, or some are not finite.
    """
    if raw.dtype == object:
        raise TargetError(
            f"{where}: the series are of different length, or no numbers.",
            remedy="Cut or pad them to one length: an array (records, length) or (records, length, channels).",
        )
    if raw.dtype.kind not in "buif" or raw.ndim not in (2, 3):
        raise TargetError(
            f"{where}: series of shape {raw.shape} and type {raw.dtype} cannot be read.",
            remedy="Give an array of numbers (records, length) or (records, length, channels).",
        )
    array = raw.astype(np.float32)
    if not np.isfinite(array).all():
        raise _not_finite(where)
    return array


def _not_finite(where: str) -> TargetError:
    return TargetError(
        f"{where}: the inputs hold values that are not finite (NaN or infinity).",
        remedy="Fill or leave out these records.",
    )
