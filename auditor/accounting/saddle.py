"""Where to look: tilt, window and grid width for a sought delta, from a coarse picture of the losses.

Nothing here enters a bound. A poor choice makes a bracket wide, never wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from auditor.accounting.arrays import Floats
from auditor.accounting.pairs import LossPair
from auditor.accounting.tilted import ALWAYS, Seen, Window


class Event(NamedTuple):
    """A dominating pair and how often it is composed."""

    pair: LossPair
    times: int


class Cumulants(NamedTuple):
    """The cumulant generating function of the composed loss and two derivatives."""

    value: float
    mean: float
    variance: float


@dataclass(frozen=True)
class Coarse:
    """Losses of every event on a few cells.

    Attributes:
        counts: Shape ``(events,)``.
        losses: Shape ``(events, cells)``.
        logs: Logarithm of the masses, same shape; minus infinity for padding.
    """

    counts: Floats
    losses: Floats
    logs: Floats
    seen: Seen = ALWAYS

    @property
    def reaches(self) -> bool:
        """False where some event has no cell with mass under both distributions."""
        return self.losses.shape[1] > 0 and bool(np.isfinite(self.logs).any(axis=1).all())

    def cumulants(self, tilt: float) -> Cumulants:
        """Of the composition, at ``tilt``."""
        weights = self.logs + tilt * self.losses
        tops = weights.max(axis=1)
        shares = np.exp(weights - tops[:, None])
        sums = shares.sum(axis=1)
        shares /= sums[:, None]
        norms = tops + np.log(sums)
        means = (shares * self.losses).sum(axis=1)
        variances = (shares * (self.losses - means[:, None]) ** 2).sum(axis=1)
        value, mean = float(self.counts @ norms), float(self.counts @ means)
        variance = float(max(self.counts @ variances, 1e-300))
        if self.seen == ALWAYS:
            return Cumulants(value, mean, variance)
        happens, skipped = np.log(self.seen.rate) + value, np.log1p(-self.seen.rate)
        norm = float(np.logaddexp(happens, skipped))
        share = float(np.exp(happens - norm))
        spread = share * variance + share * (1 - share) * mean * mean
        return Cumulants(self.seen.rounds * norm, self.seen.rounds * share * mean, self.seen.rounds * spread)


@dataclass(frozen=True)
class Aim:
    """Where the epsilon of a delta is expected.

    Attributes:
        tilt: Tilt that makes it the mean.
        epsilon: Expected epsilon.
        spread: Standard deviation of the tilted loss.
        window: Losses to cover.
        chernoff: Further tilts, up and down, that bound what is outside.
        floor: Losses of one step below it hardly matter.
    """

    tilt: float
    epsilon: float
    spread: float
    window: Window
    chernoff: tuple[float, float]
    floor: float


def coarse(events: Sequence[Event], *, tail: float, mirrored: bool, seen: Seen = ALWAYS) -> Coarse:
    """Losses of every event on cells that follow its mass."""
    cells = 1200 if len(events) <= 50 else 120
    rows = [_row(event.pair, cells, tail, mirrored=mirrored) for event in events]
    width = max(len(row[0]) for row in rows)
    losses = np.zeros((len(rows), width))
    logs = np.full((len(rows), width), -np.inf)
    for index, (loss, log) in enumerate(rows):
        losses[index, : len(loss)] = loss
        logs[index, : len(log)] = log
    return Coarse(np.array([float(event.times) for event in events]), losses, logs, seen)


def _row(pair: LossPair, cells: int, tail: float, *, mirrored: bool) -> tuple[Floats, Floats]:
    masses = pair.cells(pair.nodes(cells, tail))
    known = (masses.p > 0) & (masses.q > 0)
    p, q = np.log(masses.p[known]), np.log(masses.q[known])
    return (q - p, q) if mirrored else (p - q, p)


def aim(picture: Coarse, delta: float, *, slack: float) -> Aim:
    """Saddle point of ``delta`` and the window that holds all but ``slack`` of the tilted loss."""
    tilt = _solve(picture, delta)
    return aim_at(picture, tilt, slack=slack)


def aim_near(picture: Coarse, epsilon: float, *, slack: float) -> Aim:
    """The tilt whose mean is ``epsilon``."""
    low, high = -16.0, 24.0

    def excess(log_tilt: float) -> float:
        return picture.cumulants(float(np.exp(log_tilt))).mean - epsilon

    if excess(low) >= 0 or excess(high) <= 0:
        return aim_at(picture, float(np.exp(low if excess(low) >= 0 else high)), slack=slack)
    return aim_at(picture, float(np.exp(optimize.brentq(excess, low, high, xtol=1e-4))), slack=slack)


def aim_shy(picture: Coarse, epsilon: float, delta: float) -> Aim:
    """A tilt below the saddle point: a smaller window for a little more rounding.

    Where single steps with a large loss decide, the tilted loss at the saddle point has two humps far apart.
    """
    start = aim_near(picture, epsilon, slack=1e-9).tilt
    best, least = None, np.inf
    for share in (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5):
        log_scale = picture.cumulants(share * start).value - share * start * epsilon
        slack = float(np.clip(1e-4 * delta * np.exp(-log_scale), 1e-30, 1e-9))
        found = aim_at(picture, share * start, slack=slack)
        cost = (found.window.high - found.window.low) * np.exp(log_scale)
        if cost < least:
            best, least = found, cost
    return best if best is not None else aim_at(picture, start, slack=1e-9)


def aim_at(picture: Coarse, tilt: float, *, slack: float) -> Aim:
    """Window and Chernoff tilts around a given tilt."""
    at = picture.cumulants(tilt)
    spread = float(np.sqrt(at.variance))
    reach = -np.log(slack)
    pulls = np.sqrt(2 * reach) / spread * np.geomspace(1e-3, 8, 28 if len(picture.counts) <= 50 else 16)
    ups = [(picture.cumulants(tilt + pull).value - at.value + reach) / pull for pull in pulls]
    downs = [-(picture.cumulants(tilt - pull).value - at.value + reach) / pull for pull in pulls]
    up, down = int(np.nanargmin(ups)), int(np.nanargmax(downs))
    margin = 0.02 * (ups[up] - downs[down])
    return Aim(
        tilt=tilt,
        epsilon=at.mean,
        spread=spread,
        window=Window(downs[down] - margin, ups[up] + margin),
        chernoff=(float(pulls[up]), float(pulls[down])),
        floor=_floor(picture, tilt, 1e-6 * abs(at.mean) * tilt),
    )


def _floor(picture: Coarse, tilt: float, slack: float) -> float:
    """The largest loss such that raising all lower ones to it moves the cumulant by at most ``slack``."""
    negative = (picture.losses < 0) & np.isfinite(picture.logs)
    if not negative.any() or slack <= 0:
        return -np.inf
    weights = (picture.seen.rounds * picture.counts[:, None] * np.exp(picture.logs))[negative]
    losses = picture.losses[negative]
    order = np.argsort(losses)
    ranked = losses[order]
    moved = np.cumsum(weights[order]) * np.exp(np.maximum(tilt * ranked, -700.0))
    allowed = ranked[moved <= slack]
    return float(allowed[-1]) if len(allowed) else -np.inf


def _solve(picture: Coarse, delta: float) -> float:
    """The tilt whose mean is the epsilon of ``delta``, by the first-order saddle-point formula."""

    def excess(log_tilt: float) -> float:
        tilt = float(np.exp(log_tilt))
        at = picture.cumulants(tilt)
        scale = tilt * np.sqrt(at.variance)
        factor = np.log(special.erfcx(scale / np.sqrt(2)) / 2 * min(1.0, 1 / (1 + tilt)) + 1e-300)
        return float(at.value - tilt * at.mean + factor - np.log(delta))

    low, high = -16.0, 20.0
    if excess(low) <= 0:
        return float(np.exp(low))
    while excess(high) > 0 and high < 40:
        high += 4
    if excess(high) > 0:
        return float(np.exp(high))
    return float(np.exp(optimize.brentq(excess, low, high, xtol=1e-3)))
