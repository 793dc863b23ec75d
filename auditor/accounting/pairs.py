"""Dominating pairs of distributions, cut into cells of privacy loss.

A mechanism is replaced by two distributions ``P`` and ``Q`` on the line whose privacy loss
``L(x) = log dP/dQ(x)`` grows with ``x``. The engine asks only for the mass of both between given
losses. Every pair here is an upper bound for the mechanism named beside it, and a tight one where
that is said (Zhu, Dong and Wang, 2022, arXiv:2106.08567; Doroshenko et al., 2022, arXiv:2207.04380).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy import special, stats

from auditor.accounting.arrays import Floats

_EPS = float(np.finfo(float).eps)


class CellMasses(NamedTuple):
    """Mass of both distributions in each cell.

    Attributes:
        p: Shape ``(bounds + 1,)``; the first cell is everything below the first bound, the last everything above.
        q: Same shape.
    """

    p: Floats
    q: Floats


class Support(NamedTuple):
    """Losses between which all but a little mass lies.

    Attributes:
        low: ``Q(L < low)`` is at most the tail asked for.
        high: ``P(L > high)`` is at most the tail asked for.
    """

    low: float
    high: float


class LossPair(Protocol):
    """What the engine needs of a dominating pair. Hashable: cells are shared between equal pairs."""

    @property
    def symmetric(self) -> bool:
        """True where swapping ``P`` and ``Q`` gives the same losses."""

    @property
    def resolution(self) -> float:
        """Bound on the floating-point error of the logarithm of a cell's mass ratio, in units of loss."""

    def largest_loss(self, *, mirrored: bool) -> float:
        """An upper bound on the loss of every outcome, or infinity."""

    def cells(self, bounds: Floats) -> CellMasses:
        """Masses between increasing losses ``bounds``."""

    def support(self, tail: float) -> Support:
        """Losses outside which at most ``tail`` lies, on the side where it matters."""

    def nodes(self, count: int, tail: float) -> Floats:
        """About ``count`` increasing losses, spread as the mass is."""


def normal_mass(start: Floats, stop: Floats) -> Floats:
    """Mass of the standard normal in ``[start, stop]``, to a few units in the last place also in the tails.

    A narrow cell uses the Taylor series at its middle (relative error below 1e-15), because the
    difference of two cumulative values would lose the digits that the ratio of two masses needs.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        width = stop - start
        middle = 0.5 * (start + stop)
        m2 = middle * middle
        w2 = width * width
        series = 1 + w2 * ((m2 - 1) / 24 + w2 * (((m2 - 6) * m2 + 3) / 1920 + w2 * _hermite6(m2) / 322560))
        mass = np.exp(-0.5 * m2) * (width / np.sqrt(2 * np.pi)) * series
        wide = np.flatnonzero(~(width * np.maximum(np.abs(middle), 1) < 0.05))
    mass[wide] = _difference(start[wide], stop[wide])
    return np.asarray(mass)


def _difference(start: Floats, stop: Floats) -> Floats:
    """Difference of the cumulative distribution, on the side where it is small."""
    flip = start + stop > 0
    low, high = np.where(flip, -stop, start), np.where(flip, -start, stop)
    return np.asarray(special.ndtr(high) - special.ndtr(low))


def _hermite6(m2: Floats) -> Floats:
    return ((m2 - 15) * m2 + 45) * m2 - 15


@dataclass(frozen=True)
class MixturePair:
    """Two Gaussian mixtures of one width.

    Attributes:
        sigma: Standard deviation of every component, in units of the sensitivity.
        p: ``(weight, mean)`` of each component of ``P``; means are at least zero.
        q: The same for ``Q``; means are at most zero.
    """

    sigma: float
    p: tuple[tuple[float, float], ...]
    q: tuple[tuple[float, float], ...]

    @property
    def symmetric(self) -> bool:
        """True for replace-one pairs and for a plain Gaussian."""
        mirrored = tuple((weight, -mean) for weight, mean in self.q)
        return sorted(mirrored) == sorted(self.p) or (len(self.p) == 1 and len(self.q) == 1)

    @property
    def resolution(self) -> float:
        """Rounding of the exponents ``(2 mu x - mu^2) / 2 sigma^2``."""
        rarest = min(weight for weight, _ in self.p + self.q if weight > 0)
        support = self.support(1e-18)
        return 4 * _EPS * (1 + abs(support.low) + abs(support.high) - math.log(rarest))

    def largest_loss(self, *, mirrored: bool) -> float:
        """Bounded where ``Q`` is a component of ``P``: then ``dQ/dP`` is at most one over its weight."""
        if mirrored and self.q == ((1.0, 0.0),):
            weight = sum(weight for weight, mean in self.p if mean == 0)
            return -math.log1p(-sum(weight for weight, mean in self.p if mean != 0)) if weight > 0 else math.inf
        return math.inf

    def loss(self, x: Floats) -> Floats:
        """Privacy loss at ``x``."""
        return self._log_mixture(self.p, x) - self._log_mixture(self.q, x)

    def invert(self, loss: Floats) -> Floats:
        """The ``x`` of each loss; infinite where no ``x`` has it."""
        match self.p, self.q:
            case ((_, mean),), ((_, other),):
                return np.asarray(self.sigma**2 * loss / (mean - other) + 0.5 * (mean + other))
            case ((_, 0.0), (weight, mean)), ((_, 0.0),):
                return self._invert_one_sided(loss, weight, mean)
        return self._invert_numerically(loss)

    def cells(self, bounds: Floats) -> CellMasses:
        """Masses between the losses ``bounds``."""
        edges = np.concatenate(([-np.inf], self.invert(bounds), [np.inf]))
        edges = np.maximum.accumulate(edges)
        parts = {mean: self._part(mean, edges) for mean in {mean for _, mean in self.p + self.q}}
        p, q = (np.sum([weight * parts[mean] for weight, mean in side], axis=0) for side in (self.p, self.q))
        return CellMasses(p, q)

    def support(self, tail: float) -> Support:
        """Losses at the outer quantiles of ``P`` above and of ``Q`` below."""
        high = max(self._quantile(weight, mean, tail / len(self.p)) for weight, mean in self.p)
        low = min(-self._quantile(weight, -mean, tail / len(self.q)) for weight, mean in self.q)
        ends = self.loss(np.array([low, high]))
        return Support(float(ends[0]), float(ends[1]))

    def nodes(self, count: int, tail: float) -> Floats:
        """Losses at equally spaced ``x``."""
        high = max(self._quantile(weight, mean, tail / len(self.p)) for weight, mean in self.p)
        low = min(-self._quantile(weight, -mean, tail / len(self.q)) for weight, mean in self.q)
        return np.maximum.accumulate(self.loss(np.linspace(low, high, count)))

    def _quantile(self, weight: float, mean: float, tail: float) -> float:
        """The ``x`` above which a component has at most ``tail``."""
        share = min(0.5, tail / weight) if weight > 0 else 0.5
        return mean - self.sigma * float(special.ndtri(share))

    def _log_mixture(self, parts: tuple[tuple[float, float], ...], x: Floats) -> Floats:
        """``log`` of the mixture's density over that of ``N(0, sigma^2)``, exact near zero."""
        exponents = [(weight, (2 * mean * x - mean * mean) / (2 * self.sigma**2)) for weight, mean in parts]
        top = np.max([exponent for _, exponent in exponents], axis=0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            near = np.log1p(sum(weight * np.expm1(exponent) for weight, exponent in exponents))
            far = top + np.log(sum(weight * np.exp(exponent - top) for weight, exponent in exponents))
        return np.asarray(np.where(np.abs(top) < 0.5, near, far))

    def _part(self, mean: float, edges: Floats) -> Floats:
        standard = (edges - mean) / self.sigma
        return normal_mass(standard[:-1], standard[1:])

    def _invert_one_sided(self, loss: Floats, weight: float, mean: float) -> Floats:
        """``P = (1 - w) N(0) + w N(mean)`` against ``Q = N(0)``: ``e^L = 1 - w + w e^t``, solved for ``t``."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            near = np.log(np.maximum(np.expm1(np.minimum(loss, 1)) + weight, 0) / weight)
            far = loss + np.log1p(-(1 - weight) * np.exp(-np.maximum(loss, 0.5))) - np.log(weight)
        exponent = np.where(loss < 0.7, near, far)
        return (self.sigma**2 * exponent) / mean + 0.5 * mean

    def _invert_numerically(self, loss: Floats) -> Floats:
        """Bisection between the quantiles, on a table first; good to rounding."""
        high = max(self._quantile(weight, mean, 1e-60) for weight, mean in self.p)
        low = min(-self._quantile(weight, -mean, 1e-60) for weight, mean in self.q)
        table = np.linspace(low, high, 4001)
        values = np.maximum.accumulate(self.loss(table))
        place = np.clip(np.searchsorted(values, loss), 1, len(table) - 1)
        left, right = table[place - 1].copy(), table[place].copy()
        for _ in range(48):
            middle = 0.5 * (left + right)
            above = self.loss(middle) > loss
            right = np.where(above, middle, right)
            left = np.where(above, left, middle)
        found = 0.5 * (left + right)
        return np.where(loss <= values[0], -np.inf, np.where(loss >= values[-1], np.inf, found))


@dataclass(frozen=True)
class ReplacedPair:
    """Replace-one under sampling without replacement.

    Zhu et al., 2022, theorem 11 and proposition 30: with a base pair ``(B1, B0)`` and rate ``q``, losses above
    zero are those of ``(1 - q) B0 + q B1`` against ``B0``, losses below zero those of the mirror image.

    Attributes:
        base: ``(1 - q) N(0) + q N(2)`` against ``N(0)``.
    """

    base: MixturePair

    @property
    def symmetric(self) -> bool:
        """The two halves mirror each other."""
        return True

    @property
    def resolution(self) -> float:
        """As of the base."""
        return self.base.resolution

    def largest_loss(self, *, mirrored: bool) -> float:
        """Unbounded."""
        return math.inf

    def cells(self, bounds: Floats) -> CellMasses:
        """Above zero the base, below zero its mirror, and what is left in the cell that holds zero."""
        upper, lower = bounds[bounds > 0], bounds[bounds <= 0]
        above = self.base.cells(np.concatenate(([0.0], upper)))
        below = self.base.cells(np.concatenate(([0.0], -lower[::-1])))
        p = np.concatenate((below.q[:0:-1], above.p[1:]))
        q = np.concatenate((below.p[:0:-1], above.q[1:]))
        zero = len(lower)
        outside = 1 - (above.p[1:].sum() + below.q[1:].sum())
        p = _merge_zero(p, zero, outside)
        q = _merge_zero(q, zero, outside)
        return CellMasses(p, q)

    def support(self, tail: float) -> Support:
        """Symmetric."""
        high = self.base.support(tail).high
        return Support(-high, high)

    def nodes(self, count: int, tail: float) -> Floats:
        """Mirrored nodes of the base."""
        positive = self.base.nodes(count // 2, tail)
        positive = positive[positive > 0]
        return np.concatenate((-positive[::-1], positive))


def _merge_zero(mass: Floats, zero: int, atom: float) -> Floats:
    """Join the two cells that touch zero and add the atom at loss zero."""
    return np.concatenate((mass[:zero], [mass[zero] + mass[zero + 1] + atom], mass[zero + 2 :]))


@dataclass(frozen=True)
class FinitePair:
    """Two distributions on finitely many outcomes.

    Attributes:
        p: Mass of each outcome under ``P``.
        q: The same under ``Q``; both sum to one.
    """

    p: tuple[float, ...]
    q: tuple[float, ...]

    @property
    def symmetric(self) -> bool:
        """Never assumed."""
        return False

    @property
    def resolution(self) -> float:
        """Two roundings of a logarithm."""
        return 8 * _EPS * (1 + float(np.max(np.abs(self._losses()), initial=0.0, where=np.isfinite(self._losses()))))

    def largest_loss(self, *, mirrored: bool) -> float:
        """Over the outcomes."""
        losses = self._losses()
        return float(-losses.min() if mirrored else losses.max())

    def cells(self, bounds: Floats) -> CellMasses:
        """Outcomes whose loss lies in each cell."""
        place = np.searchsorted(bounds, self._losses(), side="right")
        size = len(bounds) + 1
        return CellMasses(
            np.bincount(place, weights=np.array(self.p), minlength=size).astype(float),
            np.bincount(place, weights=np.array(self.q), minlength=size).astype(float),
        )

    def support(self, tail: float) -> Support:
        """Smallest and largest finite loss."""
        losses = self._losses()
        finite = losses[np.isfinite(losses)]
        margin = 1e-9 * (1 + float(np.abs(finite).max()))
        return Support(float(finite.min()) - margin, float(finite.max()) + margin)

    def nodes(self, count: int, tail: float) -> Floats:
        """Between each two losses."""
        losses = self._losses()
        finite = np.unique(losses[np.isfinite(losses)])
        return np.concatenate(([finite[0] - 1e-3], 0.5 * (finite[1:] + finite[:-1]), [finite[-1] + 1e-3]))

    def _losses(self) -> Floats:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.array(self.p)) - np.log(np.array(self.q)))


def gaussian(sigma: float, *, sensitivity: float = 1.0) -> MixturePair:
    """The Gaussian mechanism; tight."""
    return MixturePair(sigma, ((1.0, sensitivity),), ((1.0, 0.0),))


def poisson(sigma: float, rate: float) -> MixturePair:
    """Poisson-subsampled Gaussian, one unit added or removed or zeroed out; tight in both directions."""
    if rate >= 1:
        return gaussian(sigma)
    return MixturePair(sigma, ((1 - rate, 0.0), (rate, 1.0)), ((1.0, 0.0),))


def poisson_replaced(sigma: float, rate: float) -> MixturePair:
    """Poisson-subsampled Gaussian, one unit replaced (Schuchardt et al., 2024, arXiv:2403.04867); tight."""
    if rate >= 1:
        return gaussian(sigma, sensitivity=2.0)
    return MixturePair(sigma, ((1 - rate, 0.0), (rate, 1.0)), ((1 - rate, 0.0), (rate, -1.0)))


def poisson_group(sigma: float, rate: float, records: int) -> MixturePair:
    """A person with ``records`` records, each sampled by itself, all added or removed: a binomial mixture."""
    if rate >= 1:
        return gaussian(sigma, sensitivity=float(records))
    weights = stats.binom.pmf(np.arange(records + 1), records, rate)
    parts = tuple((float(weight), float(count)) for count, weight in enumerate(weights) if weight > 0)
    return MixturePair(sigma, parts, ((1.0, 0.0),))


def fixed_size(sigma: float, rate: float) -> MixturePair:
    """Sampling without replacement, one unit added or removed: an upper bound.

    With probability ``rate`` the unit stands in for another one, a change of up to twice the clip.
    """
    return poisson(sigma / 2, rate)


def fixed_size_replaced(sigma: float, rate: float) -> MixturePair | ReplacedPair:
    """Sampling without replacement, one unit replaced: an upper bound."""
    return gaussian(sigma / 2) if rate >= 1 else ReplacedPair(poisson(sigma / 2, rate))
