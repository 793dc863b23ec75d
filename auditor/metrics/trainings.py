"""Membership figures over several trainings of one model: what another training would change, and both together."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from auditor.core.measurement import Interval, Measurement
from auditor.metrics.membership import LEVEL, MembershipMeasures

_KEPT = ("tpr_at_fpr", "auc")
ACROSS, BOTH = "across_trainings", "with_trainings"
"""What is put before a metric's name: the interval over trainings alone, and that over records and trainings."""


def over_trainings(models: Sequence[MembershipMeasures]) -> tuple[Measurement, ...]:
    """Rates and area of one attack on several trainings on the same records; empty for one training.

    - ``across_trainings_*``: mean and Student's t interval with ``m - 1`` degrees of freedom. Trainings are independent
      draws, so the interval is that of a mean; an exact one would need a distribution that is known, or more trainings
      than anybody pays for (the range of 6 is the first distribution-free interval of a median at 95 %).
    - ``with_trainings_*``: the same mean with the records drawn anew as well. All trainings share the records, so more
      trainings do not make that part smaller: on each side, the mean distance of the single intervals' ends and the
      half-width above are added as independent errors.

    Refused figures stay out: a claim that one training does not allow is not allowed by several on the same records.
    """
    if len(models) < 2:
        return ()
    found = []
    for first in models[0].measurements:
        same = [next(m for m in one.measurements if m.key == first.key) for one in models]
        if first.metric in _KEPT and all(m.value is not None and m.interval is not None for m in same):
            found += [_across(same), _both(same)]
    return tuple(found)


def _values(same: Sequence[Measurement]) -> list[float]:
    return [float(m.value) for m in same if m.value is not None]


def half_width(values: Sequence[float], *, level: float = LEVEL) -> float:
    """Of Student's t interval for the mean."""
    m = len(values)
    return float(stats.t.ppf((1 + level) / 2, m - 1)) * float(np.std(values, ddof=1)) / math.sqrt(m)


def _across(same: Sequence[Measurement]) -> Measurement:
    values = _values(same)
    reach = half_width(values)
    method = f"Student's t with {len(values) - 1} degrees of freedom"
    return _measured(same, ACROSS, below=reach, above=reach, over="trainings; records fixed", method=method)


def _both(same: Sequence[Measurement]) -> Measurement:
    reach = half_width(_values(same))
    ends = [(m.value - m.interval.low, m.interval.high - m.value) for m in same if m.interval and m.value is not None]
    below, above = (math.hypot(reach, float(np.mean(side))) for side in zip(*ends, strict=True))
    method = "t interval over trainings and the interval over records, as independent errors"
    return _measured(same, BOTH, below=below, above=above, over="records and trainings", method=method)


def _measured(
    same: Sequence[Measurement], prefix: str, *, below: float, above: float, over: str, method: str
) -> Measurement:
    first, mean = same[0], float(np.mean(_values(same)))
    return first.model_copy(
        update={
            "metric": f"{prefix}_{first.metric}",
            "value": mean,
            "interval": Interval(
                low=max(0.0, mean - below), high=min(1.0, mean + above), level=LEVEL, method=method, over=over
            ),
            "n": len(same),
            "n_of": "trainings on the same records",
            "method": f"mean over independent trainings of: {first.method}",
        }
    )
