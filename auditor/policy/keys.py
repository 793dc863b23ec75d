"""Metric keys such as ``tpr_at_fpr[fpr=0.01]``: read and compared."""

import re
from typing import NamedTuple

from auditor.core.measurement import Measurement

_KEY = re.compile(r"^\s*(?P<metric>[^\[\]\s]+)\s*(\[(?P<at>[^\[\]]*)\])?\s*$")
_POINT = re.compile(r"^\s*(?P<name>\w+)\s*=\s*(?P<value>[-+.\deE]+)\s*$")


class MetricKey(NamedTuple):
    """A metric and its operating point; hashable."""

    metric: str
    at: frozenset[tuple[str, float]]


def parsed(key: str) -> MetricKey:
    """Read a key; ``fpr=1e-2`` and ``fpr=0.01`` are the same point.

    A key that cannot be read stands for itself, so that it matches nothing and its limit shows up as unanswered.
    """
    match = _KEY.match(key)
    if match is None:
        return MetricKey(key, frozenset())
    points = [_point(part) for part in (match["at"] or "").split(",") if part.strip()]
    if None in points:
        return MetricKey(key, frozenset())
    return MetricKey(match["metric"], frozenset(point for point in points if point))


def of(measurement: Measurement) -> MetricKey:
    """The key of a measurement."""
    return MetricKey(measurement.metric, frozenset(measurement.at.items()))


def _point(part: str) -> tuple[str, float] | None:
    match = _POINT.match(part)
    try:
        return (match["name"], float(match["value"])) if match else None
    except ValueError:
        return None
