"""The noise that a target epsilon needs: bisection on the upper bound, so that the answer never promises too much."""

import math
from typing import NamedTuple

from auditor.accounting.account import QUICK, Effort, account
from auditor.accounting.spec import PrivacySpec, Refused
from auditor.core.privacy import EpsilonEstimate

_LARGEST = 1e6


class Calibration(NamedTuple):
    """The answer.

    Attributes:
        noise_multiplier: Of every phase; where phases differ, of the first, the others keep their ratio to it.
        epsilon: What it gives; its upper bound is at most the target.
    """

    noise_multiplier: float
    epsilon: EpsilonEstimate


def calibrate(spec: PrivacySpec, target: float, *, tolerance: float = 1e-3) -> Calibration:
    """Smallest noise multiplier, to ``tolerance`` relative, whose epsilon is at most ``target``.

    Raises:
        Refused: No noise up to a million reaches the target, or no bound is known.
    """
    if not target > 0:
        raise Refused(f"A target epsilon of {target:g} cannot be reached with noise.", remedy="Ask for one above 0.")
    high = 1.0
    while _upper(spec, high) > target:
        high *= 2
        if high > _LARGEST:
            raise Refused(f"No noise multiplier up to {_LARGEST:g} reaches epsilon {target:g}.")
    low = high / 2
    while _upper(spec, low) <= target:
        high, low = low, low / 2
        if low < 1e-3:
            break
    while high - low > tolerance * high:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _upper(spec, middle) <= target else (middle, high)
    for _ in range(20):
        found = account(scaled(spec, high), Effort())
        if found.upper <= target:
            return Calibration(high, found)
        high *= 1 + tolerance / 4
    raise Refused(f"The accountants disagree near epsilon {target:g}.", remedy="Ask for a slightly larger epsilon.")


def scaled(spec: PrivacySpec, noise: float) -> PrivacySpec:
    """``spec`` with the first phase's noise at ``noise`` and the others in proportion."""
    first = spec.phases[0].noise_multiplier
    factor = noise / first if first > 0 else None
    phases = tuple(
        phase.model_copy(update={"noise_multiplier": phase.noise_multiplier * factor if factor else noise})
        for phase in spec.phases
    )
    return spec.model_copy(update={"phases": phases})


def _upper(spec: PrivacySpec, noise: float) -> float:
    return account(scaled(spec, noise), QUICK).upper
