"""Metric keys such as ``tpr_at_fpr[fpr=0.01]``: read, compared, put into words."""

import re
from typing import NamedTuple

from auditor.core.measurement import Measurement

_KEY = re.compile(r"^\s*(?P<metric>[^\[\]\s]+)\s*(\[(?P<at>[^\[\]]*)\])?\s*$")


class MetricKey(NamedTuple):
    """A metric and its operating point."""

    metric: str
    at: dict[str, float]


def parsed(key: str) -> MetricKey:
    """Read a key; ``fpr=1e-2`` and ``fpr=0.01`` are the same point.

    Raises:
        ValueError: when the key cannot be read.
    """
    match = _KEY.match(key)
    if match is None:
        raise ValueError(f"{key!r} is not a metric such as 'tpr_at_fpr[fpr=0.01]'")
    at: dict[str, float] = {}
    for part in filter(None, (match["at"] or "").split(",")):
        name, equals, value = part.partition("=")
        try:
            at[name.strip()] = float(value)
        except ValueError:
            raise ValueError(f"{key!r}: {part.strip()!r} is not a point such as 'fpr=0.01'") from None
        if not (name.strip() and equals):
            raise ValueError(f"{key!r}: {part.strip()!r} is not a point such as 'fpr=0.01'")
    return MetricKey(match["metric"], at)


def names(key: str, measurement: Measurement) -> bool:
    """Does ``key`` name this measurement?"""
    wanted = parsed(key)
    return wanted.metric == measurement.metric and wanted.at == measurement.at


def same_metric(key: str, measurement: Measurement) -> bool:
    """Does ``key`` name the metric of this measurement, at whatever point?"""
    return parsed(key).metric == measurement.metric
