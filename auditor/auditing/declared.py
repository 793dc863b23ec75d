"""The trade-off curve that the declared settings promise, and how likely the right guesses are under it."""

import math
from collections.abc import Callable

import numpy as np

from auditor.auditing.game import Floats
from auditor.auditing.trade_off import Inverse, is_refuted

_RATES = 1500
_SMALLEST = 1e-7


def declared_curve(tpr: Callable[[float], float]) -> Inverse:
    """The inverse of a concave curve above the declared one, in both orders of the two neighbouring data sets.

    ``tpr`` caps the chance of a hit at a chance of a false alarm in one order; reading the same tests by their
    complements gives the other. The larger of both is taken at the next larger grid point, then the least concave
    function above: every step can only raise the curve (docs/proofs/epsilon-audits.md, section 4).

    Args:
        tpr: Cap at a false-positive rate, not decreasing.
    """
    low = np.concatenate(([0.0], np.geomspace(_SMALLEST, 0.5, _RATES)))
    rates = np.unique(np.concatenate((low, 1 - low)))
    caps = np.maximum.accumulate(np.array([min(1.0, max(rate, tpr(float(rate)))) for rate in rates]))
    both = np.maximum(caps, _other_order(rates, caps))
    hull_rates, hull_caps = _concave(rates, np.append(both[1:], 1.0))

    def inverse(hit: float) -> float:
        if hit <= hull_caps[0]:
            return 0.0
        return float(np.interp(hit, hull_caps, hull_rates))

    return inverse


def _other_order(rates: Floats, caps: Floats) -> Floats:
    """``1 - F^-1(1 - x)``, from above: the largest rate whose cap is still below ``1 - x``."""
    place = np.searchsorted(caps, 1 - rates, side="left") - 1
    return np.where(place < 0, 1.0, 1 - rates[np.maximum(place, 0)])


def _concave(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Corners of the least concave function above the points."""
    kept: list[int] = []
    for i in range(len(x)):
        while len(kept) >= 2:
            a, b = kept[-2], kept[-1]
            if (y[b] - y[a]) * (x[i] - x[a]) > (y[i] - y[a]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(i)
    corners, first = np.array(kept), int(np.argmax(y[kept] >= y.max()))
    corners = corners[: first + 1]
    return x[corners], y[corners]


def p_value(inverse: Inverse, correct: int, *, guesses: int, canaries: int) -> float:
    """Bound on the chance of so many right guesses under the curve, to three digits from above."""
    low, high = math.log(1e-12), 0.0
    if is_refuted(inverse, correct, guesses=guesses, canaries=canaries, error=math.exp(low)):
        return math.exp(low)
    while high - low > 1e-3:
        middle = (low + high) / 2
        if is_refuted(inverse, correct, guesses=guesses, canaries=canaries, error=math.exp(middle)):
            high = middle
        else:
            low = middle
    return math.exp(high)
