"""The rule that turns measured attack success into a likelihood: policy defaults, not legal thresholds.

Hashed into the protocol before a run, so that nobody can move it afterwards. Raise ``VERSION`` with any change.
"""

from types import MappingProxyType
from typing import Final

VERSION: Final = 2

LIKELIHOOD_RATIO_S0: Final = 2.0
LIKELIHOOD_RATIO_S1: Final = 5.0
LIKELIHOOD_RATIO_S3: Final = 10.0
"""Membership: TPR divided by FPR, at false-positive rates from ``SMALLEST_FPR`` to ``LARGEST_FPR``."""

SMALLEST_FPR: Final = 0.001
LARGEST_FPR: Final = 0.01
FREQUENT_FPR: Final = 0.1
"""Bands are read where false alarms are rare: an attacker must be sure, not right on average. Below the smallest
rate no sample of a usual size can say anything. Up to the frequent rate a figure can show success, never its
absence: the ROC of the best attack is concave, so TPR / FPR is at least as high at every rarer rate."""

SHARE_S0: Final = 0.05
SHARE_S1: Final = 0.10
SHARE_S3: Final = 0.50
"""Reconstruction: share of records matched beyond a calibrated null. ``NULL_FACTOR`` nulls also count as S0."""

NULL_FACTOR: Final = 2.0

EFFORT_LOW: Final = 2
EFFORT_MID: Final = 5
"""Up to this many points; at most 8 in all (access 0-3, knowledge 0-3, compute 0-2)."""

COMPUTE_CPU_HOURS: Final = (24.0, 2_400.0)
"""From this many CPU hours on, computing costs one point, then two: a day, and a hundred days, of one core."""

LIKELIHOOD: Final = MappingProxyType(
    {
        "S0": MappingProxyType({"low": 1, "mid": 1, "high": 1}),
        "S1": MappingProxyType({"low": 2, "mid": 2, "high": 1}),
        "S2": MappingProxyType({"low": 3, "mid": 3, "high": 2}),
        "S3": MappingProxyType({"low": 4, "mid": 4, "high": 3}),
    }
)

SEVERITY: Final = MappingProxyType({"public": 1, "ordinary": 2, "sensitive": 3, "special_category": 3})
"""Proposed from the data category that people declared; people decide."""

HIGHEST: Final = 4


def as_json() -> dict[str, object]:
    """Everything above as a JSON value: part of what is hashed before a run."""
    return {
        "version": VERSION,
        "likelihood_ratio": [LIKELIHOOD_RATIO_S0, LIKELIHOOD_RATIO_S1, LIKELIHOOD_RATIO_S3],
        "fpr": [SMALLEST_FPR, LARGEST_FPR, FREQUENT_FPR],
        "share": [SHARE_S0, SHARE_S1, SHARE_S3],
        "null_factor": NULL_FACTOR,
        "effort": [EFFORT_LOW, EFFORT_MID],
        "compute_cpu_hours": list(COMPUTE_CPU_HOURS),
        "likelihood": {band: dict(row) for band, row in LIKELIHOOD.items()},
        "severity": dict(SEVERITY),
    }
