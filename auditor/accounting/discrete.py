"""Renyi bounds for discrete noise added under secure aggregation, and their conversion to epsilon.

These are upper bounds of unknown slack: amplification by sampling is not counted.
"""

import math
from collections.abc import Callable

import numpy as np

from auditor.accounting.arrays import Floats

_ORDERS = np.unique(np.concatenate((1 + np.geomspace(1e-3, 1, 60), np.geomspace(2, 1e6, 400))))


def renyi_epsilon(curve: Callable[[Floats], Floats], delta: float, *, whole_orders: bool = False) -> float:
    """Smallest epsilon over orders (Canonne, Kamath and Steinke, 2020, arXiv:2004.00010, proposition 12).

    Args:
        curve: Renyi divergence of the whole composition at each order.
        delta: Target.
        whole_orders: The curve holds for integer orders alone.
    """
    orders = np.unique(np.ceil(_ORDERS)) if whole_orders else _ORDERS
    orders = orders[orders > 1]
    with np.errstate(over="ignore", invalid="ignore"):
        epsilons = curve(orders) + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return max(0.0, float(np.nanmin(epsilons)))


def discrete_gaussian_rho(*, sensitivity: float, variance: float, noisers: int, dimension: int) -> float:
    """zCDP of a sum of ``noisers`` discrete Gaussians (Kairouz, Liu and Steinke, 2021, arXiv:2102.06387, theorem 1).

    Args:
        sensitivity: L2 sensitivity in grid units, after rounding.
        variance: Of one client's noise, in grid units squared.
        noisers: Clients whose noise is in the sum.
        dimension: Coordinates.
    """
    tau = 10 * sum(math.exp(-2 * math.pi**2 * variance * k / (k + 1)) for k in range(1, noisers))
    base = sensitivity / math.sqrt(noisers * variance)
    epsilon = min(math.sqrt(base * base + tau * dimension / 2), base + tau * math.sqrt(dimension))
    return 0.5 * epsilon * epsilon


def skellam_curve(*, sensitivity: float, variance: float, dimension: int) -> Callable[[Floats], Floats]:
    """Renyi curve of Skellam noise (Agarwal, Kairouz and Liu, 2021, arXiv:2110.04995, theorem 3.5), integer orders.

    Args:
        sensitivity: L2 sensitivity in grid units, after rounding.
        variance: Of the whole noise, in grid units squared.
        dimension: Coordinates.
    """
    l2 = sensitivity * sensitivity
    l1 = min(math.sqrt(dimension) * sensitivity, l2)

    def curve(orders: Floats) -> Floats:
        extra = np.minimum(((2 * orders - 1) * l2 + 6 * l1) / (4 * variance**2), 3 * l1 / (2 * variance))
        return np.asarray(orders * l2 / (2 * variance) + extra)

    return curve
