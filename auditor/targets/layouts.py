"""How an array of pictures or series can be laid out for a model, best guess first."""

import math
from dataclasses import dataclass

import numpy as np

from auditor.targets.fields import Values

_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Layout:
    """One arrangement of an array.

    Attributes:
        words: For the facts, e.g. ``channels moved first``.
        shape: Shape of a record before the axes are moved; empty = as it is.
        axes: Order of the axes afterwards; empty = as they are.
        repeat: How often the channel axis (1) is repeated.
        channel: Axis of the channels in the arranged array; None = one channel without an axis.
    """

    words: str
    shape: tuple[int, ...] = ()
    axes: tuple[int, ...] = ()
    repeat: int = 1
    channel: int | None = None

    def arrange(self, array: Values) -> Values:
        """The records of ``array``, shape ``(n, ...)``, in this layout."""
        if self.shape:
            array = array.reshape(len(array), *self.shape)
        if self.axes:
            array = array.transpose(self.axes)
        if self.repeat > 1:
            array = np.repeat(array, self.repeat, axis=1)
        return np.ascontiguousarray(array)


AS_IS = Layout("records as they are")


def image_layouts(record: tuple[int, ...]) -> list[Layout]:
    """Layouts of pictures of shape ``record`` (without the axis of records)."""
    size = math.prod(record)
    flat = Layout(f"each picture as one row of {size:,} values", shape=(size,))
    if len(record) == 1:
        return [*_squares(size), Layout("each picture as it is, one row of values")]
    if len(record) == 2:
        channel = (1, *record)
        return [
            Layout("one grey channel added", shape=channel, channel=1),
            Layout("pictures as they are, without a channel"),
            flat,
            Layout("the grey channel repeated three times", shape=channel, repeat=3, channel=1),
        ]
    first = Layout("pictures as they are (channels, height, width)", channel=1)
    moved = Layout("channels moved first (height, width, channels before)", axes=(0, 3, 1, 2), channel=1)
    if not _channels_last(record):
        grey = [Layout("the grey channel repeated three times", repeat=3, channel=1)] if record[0] == 1 else []
        return [first, moved, flat, *grey]
    last = Layout("pictures as they are (height, width, channels)", channel=3)
    grey = [Layout("the grey channel repeated three times", axes=(0, 3, 1, 2), repeat=3, channel=1)]
    return [moved, last, flat, *(grey if record[2] == 1 else [])]


def _channels_last(record: tuple[int, ...]) -> bool:
    return record[2] in _CHANNELS and record[0] not in _CHANNELS


def series_layouts(record: tuple[int, ...]) -> list[Layout]:
    """Layouts of series of shape ``(length,)``, or of two axes: the longer one is the time."""
    if len(record) == 1:
        return [
            Layout("series as they are (length)"),
            Layout("one channel added first (channels, length)", shape=(1, *record), channel=1),
            Layout("one channel added last (length, channels)", shape=(*record, 1), channel=2),
        ]
    channel = 1 if record[0] < record[1] else 2
    as_is = "(channels, length)" if channel == 1 else "(length, channels)"
    return [
        Layout(f"series as they are {as_is}", channel=channel),
        Layout("length and channels swapped", axes=(0, 2, 1), channel=3 - channel),
    ]


def _squares(size: int) -> list[Layout]:
    found = []
    for channels in (1, 3):
        side = math.isqrt(size // channels)
        if side * side * channels == size and side > 1:
            words = f"rows folded to {channels} x {side} x {side} (channels, height, width)"
            found.append(Layout(words, shape=(channels, side, side), channel=1))
    return found
