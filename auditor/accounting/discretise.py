"""Privacy-loss distributions on a grid: one that bounds the loss from above, one from below.

Above: each cell's mass is split onto the two ends of the cell so that its mass under ``P`` and under ``Q``
both stay ("connect the dots", Doroshenko et al., 2022, arXiv:2207.04380, algorithm 1). The result dominates
the mechanism, and its error per step is of second order in the grid.

Below: all outcomes of a cell are merged into one, and each merged outcome with the fraction of a neighbour that
brings its loss onto the grid. Both are post-processing, so they can only lose privacy loss, and again the error per
step is of second order in the grid.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from auditor.accounting.arrays import Floats
from auditor.accounting.pairs import CellMasses, LossPair, Support


@dataclass(frozen=True)
class GridLoss:
    """A privacy-loss distribution on ``offset + step * (start + 0, 1, ...)``.

    Attributes:
        step: Distance of grid points.
        start: Index of the first point.
        offset: Shift of the whole grid.
        mass: Mass of each point under the first distribution.
        infinity: Mass at infinite loss. Mass at minus infinity is what is missing to one.
        rounds_up: True for the bound from above.
    """

    step: float
    start: int
    offset: float
    mass: Floats
    infinity: float
    rounds_up: bool


@dataclass(frozen=True)
class Bounds:
    """One step of a mechanism from both sides, in one direction."""

    upper: GridLoss
    lower: GridLoss


def discretise(
    pair: LossPair, step: float, *, tail: float, mirrored: bool, floor: float = -np.inf, parts: int | None = None
) -> Bounds:
    """Bound one step's loss distribution on a grid of width ``step``.

    Args:
        pair: Dominating pair ``(P, Q)``.
        step: Grid width.
        tail: Mass that may be moved to infinity.
        mirrored: Loss of ``Q`` against ``P`` instead of ``P`` against ``Q``.
        parts: Shift the lower bound's grid by multiples of ``step / parts`` only; any shift if None.
        floor: Losses below it are rounded up to it (above) or merged (below).
    """
    support = pair.support(tail)
    if mirrored:
        support = Support(support.low, min(support.high, -floor))
    else:
        support = Support(max(support.low, floor), support.high)
    low, high = int(np.floor(support.low / step)), int(np.ceil(support.high / step))
    return Bounds(
        _connect_dots(pair, step, (low, max(high, low + 1)), mirrored=mirrored),
        _merge_down(pair, step, (low - 1, high + 1), mirrored=mirrored, parts=parts),
    )


def _connect_dots(pair: LossPair, step: float, ends: tuple[int, int], *, mirrored: bool) -> GridLoss:
    """Split each cell onto its ends; the lower tail is rounded up, the upper one goes to infinity."""
    low, high = ends
    cells = pair.cells(step * np.arange(low, high + 1))
    if mirrored:
        cells = CellMasses(cells.q[::-1], cells.p[::-1])
        low, high = -high, -low
    p, q = cells.p[1:-1], cells.q[1:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = np.log(p) - np.log(q)
        place = loss - step * np.arange(low, high)
        share = np.expm1(-np.clip(place, 0, step)) / np.expm1(-step)
    share = np.where(np.isfinite(share), share, 1.0)
    mass = np.zeros(high - low + 1)
    mass[1:] += p * share
    mass[:-1] += p * (1 - share)
    mass[0] += cells.p[0]
    return GridLoss(step, low, pair.resolution, mass, float(cells.p[-1]), True)


def _merge_down(pair: LossPair, step: float, ends: tuple[int, int], *, mirrored: bool, parts: int | None) -> GridLoss:
    """Merge cells around the grid points, then move what is off the grid by exchanging with neighbours."""
    low, high = ends
    points = np.arange(low, high + 1, dtype=float)
    bounds = step * (np.arange(low, high) + 0.5)
    cells = pair.cells(bounds)
    offset = 0.0
    if _mean_excess(cells, points, step) > 0.03 * step:
        offset = _allowed_shift(_middle_excess(cells, points, step), step, parts)
        bounds = bounds + offset
        bounds = bounds - _midway(pair.cells(bounds), points, step, offset)
        cells = pair.cells(bounds)
    if mirrored:
        cells = CellMasses(cells.q[::-1], cells.p[::-1])
        points, offset = -points[::-1], -offset
    grid = offset + step * points
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = np.log(cells.p) - np.log(cells.q)
    best = _exchange(cells.p, loss, grid, step)
    if best.lost > step * step / 100:
        change = _allowed_shift(best.worst, step, parts)
        shifted = _exchange(cells.p, loss, grid + change, step)
        if shifted.lost < best.lost:
            best, offset = shifted, offset + change
    return GridLoss(step, int(points[0]), offset - pair.resolution, best.mass, 0.0, False)


def _allowed_shift(shift: float, step: float, parts: int | None) -> float:
    return shift if parts is None else round(shift / step * parts) * step / parts


def _mean_excess(cells: CellMasses, points: Floats, step: float) -> float:
    """Mean distance of the merged losses from the grid; exchanging costs in proportion to it."""
    return float(np.abs(_excess(cells, points, step)) @ np.maximum(cells.p, cells.q))


def _middle_excess(cells: CellMasses, points: Floats, step: float) -> float:
    """How far most of the mass lies above its grid point: the weighted median."""
    excess = _excess(cells, points, step)
    order = np.argsort(excess)
    weight = np.cumsum(np.maximum(cells.p, cells.q)[order])
    return float(np.clip(excess[order][np.searchsorted(weight, weight[-1] / 2)], -step / 2, step / 2))


def _excess(cells: CellMasses, points: Floats, step: float) -> Floats:
    """How far the merged loss of each cell lies above its grid point, zero where there is no mass."""
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.log(cells.p) - np.log(cells.q) - step * points
    return np.where(np.isfinite(excess), excess, 0.0)


def _midway(cells: CellMasses, points: Floats, step: float, offset: float) -> Floats:
    """Shift of each bound that brings the merged losses nearer the grid: the mean of its two cells' excess."""
    excess = np.clip(_excess(cells, points, step) - offset, -0.4 * step, 0.4 * step)
    return np.asarray(0.5 * (excess[1:] + excess[:-1]))


class _Exchanged(NamedTuple):
    """Masses on the grid.

    Attributes:
        mass: Mass of each grid point.
        lost: Mean loss given up by rounding down.
        worst: How far the outcome that gave up most lay above its grid point.
    """

    mass: Floats
    lost: float
    worst: float


def _exchange(mass: Floats, loss: Floats, grid: Floats, step: float) -> _Exchanged:
    """Masses on the grid after merging each outcome with a fraction of a neighbour.

    An outcome whose loss lies a little above its grid point is merged with that fraction of the outcome below it
    which brings the merged loss onto the point; one that lies below, with a fraction of the outcome above. This is
    randomised post-processing. What a neighbour gives away it no longer keeps, hence the tridiagonal system. Where
    a neighbour has too little to give, the outcome is rounded down instead.
    """
    away = np.where(mass > 0, loss - grid, 0.0)
    rounded = (np.abs(away) > 0.45 * step) | ~np.isfinite(away)
    for _ in range(6):
        taken_below, taken_above = _fractions(mass, loss, grid, away, rounded)
        kept = _kept(taken_below, taken_above)
        short = kept < 0
        if not short.any():
            break
        rounded |= short | _beside(short)
    else:
        rounded[:] = True
        kept, taken_below, taken_above = np.ones_like(mass), np.zeros_like(mass), np.zeros_like(mass)
    stays = np.where(rounded, 0.0, kept * mass)
    stays[1:] += (kept * taken_below)[1:] * mass[:-1]
    stays[:-1] += (kept * taken_above)[:-1] * mass[1:]
    falls = np.flatnonzero(rounded & (mass > 0))
    index = falls + np.floor(np.clip(away[falls] / step, -len(mass) - 1, len(mass))).astype(np.int64)
    inside = index >= 0
    np.add.at(stays, np.minimum(index[inside], len(mass) - 1), (kept * mass)[falls][inside])
    fallen = mass[falls] * np.clip(away[falls] - step * (index - falls), 0, step)
    worst = float(away[falls[np.argmax(fallen)]]) if len(falls) else 0.0
    return _Exchanged(stays, float(fallen.sum()), worst if abs(worst) < step else 0.0)


def _fractions(
    mass: Floats, loss: Floats, grid: Floats, away: Floats, rounded: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Which fraction of the outcome below, and above, each whole outcome must take."""
    below, above = np.zeros_like(mass), np.zeros_like(mass)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        own = mass * np.expm1(-away)
        below[1:] = -own[1:] / (mass[:-1] * np.expm1(grid[1:] - loss[:-1]))
        above[:-1] = own[:-1] / -(mass[1:] * np.expm1(grid[:-1] - loss[1:]))
    below = np.where((away > 0) & ~rounded, below, 0.0)
    above = np.where((away < 0) & ~rounded, above, 0.0)
    bad = ~(np.isfinite(below) & np.isfinite(above) & (below >= 0) & (above >= 0))
    bad[0] |= away[0] > 0
    bad[-1] |= away[-1] < 0
    rounded |= bad
    return np.where(bad, 0.0, below), np.where(bad, 0.0, above)


def _kept(below: Floats, above: Floats) -> Floats:
    """Which fraction each outcome keeps: ``kept + (what its neighbours take) = 1``."""
    bands = np.ones((3, len(below)))
    bands[0, 1:] = below[1:]
    bands[2, :-1] = above[:-1]
    return np.asarray(linalg.solve_banded((1, 1), bands, np.ones(len(below))))


def _beside(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The neighbours of what is marked."""
    near = np.zeros_like(marked)
    near[1:] |= marked[:-1]
    near[:-1] |= marked[1:]
    return near
