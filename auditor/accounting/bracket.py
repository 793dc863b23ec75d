"""Epsilon of a composition with a proved lower and upper bound.

The two bounds come from the two discretisations of `discretise`, composed by `tilted`; the grid is halved until
they are close enough or the largest grid is reached.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import signal

from auditor.accounting.discretise import Bounds, discretise
from auditor.accounting.saddle import Aim, Coarse, Event, aim, aim_at, aim_near, aim_shy, coarse
from auditor.accounting.tilted import ALWAYS, EXTENDED, Composed, Seen, Step, compose

LARGEST_GRID = 1 << 22
_SLACK = 1e-7
_EPS = float(np.finfo(float).eps)
_MANY = 100
"""From so many different rounds on, the bracket that is allowed is enough."""

_LONG = 300_000
"""From so many steps on, half of the bracket that is allowed is enough."""

WORK = 13_000_000
"""Grid points that one direction may cost. Counted, not timed: the same question has the same answer on every machine.
A point takes about 0.3 microseconds of one core."""

_EXTENDED_COST = 5
_PAIR_COST = 4_000
"""What a transform in extended precision costs beside a plain one, and a pair beside its points (measured)."""


@dataclass(frozen=True)
class Bracket:
    """``lower <= epsilon <= upper``.

    Attributes:
        step: Grid width used; zero for a closed form.
        points: Size of the grid.
        reason: Why the bracket is wider than asked for; empty where it is not.
        seconds: Wall time.
    """

    lower: float
    upper: float
    step: float = 0.0
    points: int = 0
    reason: str = ""
    seconds: float = 0.0

    @property
    def width(self) -> float:
        """Upper minus lower."""
        return self.upper - self.lower if np.isfinite(self.upper) else float("inf")


@dataclass
class LossEngine:
    """Bounds epsilon of one composition in one direction.

    Args:
        events: Pairs and counts.
        mirrored: Loss of ``Q`` against ``P`` (one unit added) instead of ``P`` against ``Q`` (removed).
        precision: Width of the bracket aimed at, relative to epsilon.
        largest: Most grid points.
        work: Grid points that this may cost; no finer grid is begun after half of them.
        seen: Public participation: the events are those of one round.
    """

    events: Sequence[Event]
    mirrored: bool = False
    precision: float = 1e-4
    largest: int = LARGEST_GRID
    work: int = WORK
    seen: Seen = ALWAYS

    @property
    def turns(self) -> int:
        """Steps in all."""
        return self.seen.rounds * sum(event.times for event in self.events)

    @property
    def _costly(self) -> bool:
        """Is a finer grid dear? Then the bracket that is allowed is enough."""
        return len(self.events) > _MANY or self.turns >= _LONG

    @property
    def ceiling(self) -> float:
        """The largest loss there can be; infinite for most mechanisms. It bounds epsilon at every delta."""
        largest = sum(event.times * event.pair.largest_loss(mirrored=self.mirrored) for event in self.events)
        return self.seen.rounds * largest

    def epsilon(self, delta: float) -> Bracket:
        """Bracket of epsilon at ``delta``."""
        began = time.perf_counter()
        tail = 1e-7 * delta / self.turns
        picture = coarse(self.events, tail=tail, mirrored=self.mirrored, seen=self.seen)
        if not picture.reaches:
            return Bracket(0.0, self.ceiling, reason="the noise is so small that the two distributions underflow")
        target = aim(picture, delta, slack=_SLACK)
        best, spent = Bracket(0.0, self.ceiling, reason="no grid was tried"), 0.0
        plan = _Plan(target, self._width(target.tilt, max(abs(target.epsilon), 1e-12) * self.precision))
        for _ in range(7):
            step, capped = self._fitted(plan, tail)
            found = self._at(plan, step, delta, tail)
            best = _narrower(best, found.bracket)
            wanted = max(best.upper, 1e-6) * self.precision * 2
            if best.width <= wanted or (capped and not found.noisy):
                break
            if self._costly and best.width <= 0.8 * _allowed(best.upper):
                break
            spent += self._cost(found.bracket.points, extended=plan.extended) / self.work
            if (best.width <= 0.5 * _allowed(best.upper) and spent > 0.2) or spent > 0.5:
                break
            if not np.isfinite(found.bracket.upper) and plan.extended >= EXTENDED:
                break
            plan = self._better(plan, step, found, picture, delta, wanted / best.width)
        seconds = time.perf_counter() - began
        reason = f"stopped at a grid of {best.points} points"
        reason = "" if best.width <= _allowed(best.upper) else reason
        return Bracket(best.lower, best.upper, best.step, best.points, reason, seconds)

    def _cost(self, points: int, *, extended: bool) -> float:
        """What one grid cost, in grid points of one pair."""
        return len({event.pair for event in self.events}) * (points * (_EXTENDED_COST if extended else 1) + _PAIR_COST)

    def _better(
        self, plan: "_Plan", step: float, found: "_Found", picture: Coarse, delta: float, ratio: float
    ) -> "_Plan":
        """The next grid: no tilt for rare large losses, a tilt at the epsilon found, more digits, or finer."""
        target, upper = plan.aim, found.bracket.upper
        if np.isfinite(upper):
            if not plan.rare and found.slope > 3 * target.tilt:
                shy = aim_shy(picture, upper, delta)
                return _Plan(shy, self._width(found.slope, upper * self.precision), EXTENDED, rare=True)
            if not plan.rare and abs(upper - target.epsilon) > 0.3 * target.spread:
                near = aim_near(picture, upper, slack=_SLACK)
                return _Plan(near, self._width(near.tilt, upper * self.precision))
        if found.noisy and EXTENDED and not plan.extended:
            return _Plan(target, plan.step, extended=True, rare=plan.rare)
        return _Plan(target, step * max(0.1, 0.8 * min(1.0, ratio**0.5)), plan.extended, plan.rare)

    def upper_loss(self, delta: float, tilts: Sequence[float]) -> list[Composed]:
        """Dominating composed losses at several tilts, on the grid that ``delta`` needs."""
        tail = 1e-7 * delta / self.turns
        picture = coarse(self.events, tail=tail, mirrored=self.mirrored, seen=self.seen)
        if not picture.reaches:
            return []
        target = aim(picture, delta, slack=_SLACK)
        found = []
        for tilt in tilts:
            around = aim_at(picture, tilt, slack=1e-14)
            width = self._width(target.tilt, max(abs(target.epsilon), 1e-9) * self.precision)
            step, _ = self._fitted(_Plan(around, width), tail)
            parts = self._bounds(step, tail, -np.inf)
            steps = [Step(part.upper, event.times) for part, event in zip(parts, self.events, strict=True)]
            found.append(compose(steps, tilt, around.window, chernoff=around.chernoff, seen=self.seen))
        return found

    def _width(self, slope: float, wanted: float) -> float:
        """Grid width whose second-order error, ``T (1 + slope) h^2 / 8``, is ``wanted``."""
        return float(np.sqrt(8 * wanted / (self.turns * (1 + slope))))

    def _fitted(self, plan: "_Plan", tail: float) -> tuple[float, bool]:
        """The grid width, or the smallest one that the largest grid allows."""
        target, step = plan.aim, plan.step
        span = target.window.high - target.window.low
        for event in set(self.events):
            support = event.pair.support(tail)
            low, high = (-support.high, -support.low) if self.mirrored else support
            span = max(span, (high - max(low, target.floor)) / 2)
        smallest = span / (self.largest / 2 if plan.extended else self.largest)
        return max(step, smallest), step < smallest

    def _bounds(self, step: float, tail: float, floor: float) -> list[Bounds]:
        parts = None if self.seen == ALWAYS else sum(event.times for event in self.events)
        made = {
            pair: discretise(pair, step, tail=tail, mirrored=self.mirrored, floor=floor, parts=parts)
            for pair in {event.pair for event in self.events}
        }
        return [made[event.pair] for event in self.events]

    def _at(self, plan: "_Plan", step: float, delta: float, tail: float) -> "_Found":
        """Bracket on one grid."""
        target = plan.aim
        parts = self._bounds(step, tail, target.floor)
        counts = [event.times for event in self.events]
        uppers = [Step(part.upper, count) for part, count in zip(parts, counts, strict=True)]
        lowers = [Step(part.lower, count) for part, count in zip(parts, counts, strict=True)]
        above, below = (
            compose(steps, target.tilt, target.window, chernoff=target.chernoff, extended=plan.extended, seen=self.seen)
            for steps in (uppers, lowers)
        )
        upper = _crossing(above, delta, target.epsilon, upper=True)
        exact = _crossing(replace(above, rounding=0.0), delta, target.epsilon, upper=True)
        lower = _crossing(below, delta, target.epsilon, upper=False)
        noisy = not upper.epsilon - exact.epsilon <= 0.25 * self.precision * max(exact.epsilon, 1e-6)
        bracket = Bracket(max(lower.epsilon, 0.0), max(upper.epsilon, 0.0), step, len(above.mass))
        return _Found(bracket, noisy, exact.slope)


class _Plan(NamedTuple):
    """How to compute next.

    Attributes:
        aim: Tilt and window.
        step: Grid width.
        extended: Transform in extended precision.
        rare: The tilt is held back because rare large losses would dominate at the saddle point.
    """

    aim: Aim
    step: float
    extended: bool = False
    rare: bool = False


class _Found(NamedTuple):
    """One grid's answer.

    Attributes:
        bracket: Lower and upper.
        noisy: Rounding makes up much of the width.
        slope: ``-d log(delta) / d epsilon`` at the upper end.
    """

    bracket: Bracket
    noisy: bool
    slope: float


class _Crossing(NamedTuple):
    """Where delta is crossed, and how steeply."""

    epsilon: float
    slope: float = 0.0


def _allowed(epsilon: float) -> float:
    return max(1e-3 * epsilon, 1e-4)


def _narrower(one: Bracket, other: Bracket) -> Bracket:
    lower, upper = max(one.lower, other.lower), min(one.upper, other.upper)
    return Bracket(lower, upper, other.step, other.points)


def _crossing(composed: Composed, delta: float, near: float, *, upper: bool) -> _Crossing:
    """The epsilon at which delta's bound crosses ``delta``; infinite where the window does not show it.

    ``delta(epsilon) = infinity + sum_{l > epsilon} p(l) (1 - e^{epsilon - l})``, in units of
    ``exp(log_norm - tilt * near)`` so that nothing overflows where it matters. The second part of the sum is a
    recursive filter, ``y_j = e^{-h} (x_{j+1} + y_{j+1})``, which cannot overflow.
    """
    losses, step = composed.losses, float(composed.losses[1] - composed.losses[0])
    mass = composed.mass
    mass = np.maximum(mass, 0.0) + composed.rounding if upper else np.maximum(mass - composed.rounding, 0.0)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        down = np.exp(-composed.tilt * (losses - near))
        weights = (mass * down)[::-1]
        decay = np.exp(-step)
        total = np.append(np.cumsum(weights)[-2::-1], 0.0)
        shrunk = np.append(signal.lfilter([decay], [1.0, -decay], weights)[-2::-1], 0.0)
        slack = (composed.relative + 4 * _EPS * (len(losses) + 1 / step)) * total
        scale = np.exp(composed.tilt * near - composed.log_norm)
        if upper:
            wanted = (delta - composed.infinity - composed.above) * scale
            deltas = total - shrunk + slack
        else:
            wanted = delta * scale
            deltas = total - shrunk - slack - composed.wrapped * down
        crossed = np.flatnonzero(~(deltas < wanted)) if upper else np.flatnonzero(deltas >= wanted)
    if not 0 < wanted < np.inf or (upper and len(crossed) and crossed[-1] == len(losses) - 1):
        return _Crossing(np.inf if upper else -np.inf)
    if len(crossed) == 0:
        return _Crossing(float(losses[0]) if upper else -np.inf)
    last = int(crossed[-1])
    kept = total[last] - shrunk[last] - deltas[last]
    ratio = (total[last] - kept - wanted) / shrunk[last] if shrunk[last] > 0 else 0.0
    exact = losses[last] + (np.log(ratio) if 0 < ratio < np.inf else (step if upper else 0.0))
    found = float(np.clip(exact, losses[last], losses[last] + step))
    return _Crossing(found + (1e-14 if upper else -1e-14) * (1 + abs(found)), float(shrunk[last] / wanted))
