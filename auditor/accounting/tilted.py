"""Composition of privacy losses by an exponentially tilted FFT, with proved error terms.

A plain FFT has an absolute error near 1e-16, which drowns a delta of 1e-15. The losses are therefore weighted by
``exp(tilt * loss)`` first, with the tilt that makes the epsilon sought the mean of the composed loss (Esscher; the
saddle point). Relative errors then stay near 1e-10 for every delta. Three errors remain and each is added to the
side where it keeps the bound valid: mass that wraps around the window (Chernoff), rounding of the FFT (normwise
bound, Higham, 2002, theorem 24.2) and rounding of the powers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import fft

from auditor.accounting.arrays import Complexes, Floats
from auditor.accounting.discretise import GridLoss

_EPS = float(np.finfo(float).eps)
EXTENDED = float(np.finfo(np.longdouble).eps) < 0.01 * _EPS
"""Whether this platform has floats longer than 64 bits (x86 has, ARM has not)."""


class Step(NamedTuple):
    """One step's losses and how often it is taken."""

    loss: GridLoss
    times: int


class Seen(NamedTuple):
    """Random but public participation: each round's steps happen with chance ``rate``, or nothing does."""

    rounds: int
    rate: float


ALWAYS = Seen(1, 1.0)


class Window(NamedTuple):
    """Losses ``[low, high]`` that the composed distribution is computed on."""

    low: float
    high: float


@dataclass(frozen=True)
class Composed:
    """The composed loss, tilted.

    Attributes:
        losses: Grid of composed losses, increasing.
        mass: Tilted mass at each loss.
        tilt: The tilt; the untilted mass is ``mass * exp(log_norm - tilt * loss)``.
        log_norm: Logarithm of the tilted distribution's norm.
        rounding: Bound on the error of each entry of ``mass``.
        above: Bound on the untilted mass above the window.
        wrapped: Bound on the tilted mass outside the window, which the FFT adds somewhere inside it.
        infinity: Mass at infinite loss.
        relative: Bound on the relative error of all masses together.
    """

    losses: Floats
    mass: Floats
    tilt: float
    log_norm: float
    rounding: float
    above: float
    wrapped: float
    infinity: float
    relative: float


def compose(
    steps: Sequence[Step],
    tilt: float,
    window: Window,
    *,
    chernoff: tuple[float, float],
    extended: bool = False,
    seen: Seen = ALWAYS,
) -> Composed:
    """Compose all steps on one grid.

    Args:
        steps: Loss distributions with one common grid width.
        tilt: The tilt, at least zero.
        window: What to cover.
        chernoff: How much to tilt further up and down to bound what lies outside the window.
        extended: Transform in extended precision, where the platform has it.
        seen: Rounds of these steps, each of which happens with a chance that the adversary sees the outcome of.
    """
    grid = steps[0].loss.step
    origin = seen.rounds * sum(step.times * (step.loss.offset + grid * step.loss.start) for step in steps)
    size = int(fft.next_fast_len(max(64, int(np.ceil((window.high - window.low) / grid)) + 2), real=True))
    spectrum = _spectrum(steps, tilt, size, extended=extended)
    if seen != ALWAYS:
        spectrum = _at_random(spectrum, steps, seen, size)
    power = np.exp(spectrum.logs)
    cyclic = fft.irfft(power, n=size)
    first = int(np.floor((window.low - origin) / grid))
    mass = np.roll(cyclic.astype(float), -(first % size))
    turns = seen.rounds * sum(step.times for step in steps)
    transforms = 10 * np.log2(size) * (spectrum.spread * spectrum.narrowest + float(np.linalg.norm(mass)))
    rounding = spectrum.unit * (transforms + 16 * turns * float(np.abs(power).mean()))
    low, high = origin + grid * first, origin + grid * (first + size - 1)
    up, down = chernoff
    above, wrapped_up = _tail(steps, tilt, up, high, spectrum.log_norm, seen)
    _, wrapped_down = _tail(steps, tilt, -down, low, spectrum.log_norm, seen)
    lost = -np.expm1(sum(step.times * np.log1p(-step.loss.infinity) for step in steps))
    return Composed(
        losses=low + grid * np.arange(size),
        mass=mass,
        tilt=tilt,
        log_norm=spectrum.log_norm,
        rounding=float(rounding),
        above=above,
        wrapped=wrapped_up + wrapped_down,
        infinity=float(-np.expm1(seen.rounds * np.log1p(-seen.rate * lost))),
        relative=64 * _EPS * turns,
    )


class _Spectrum(NamedTuple):
    """Logarithm of the tilted characteristic function and what its rounding error is made of.

    Attributes:
        logs: At each frequency.
        log_norm: Of the tilted distribution.
        spread: Sum of the 2-norms of all factors; scales the transforms' errors.
        narrowest: 2-norm of all factors but one.
        unit: Unit roundoff of the numbers used.
    """

    logs: Complexes
    log_norm: float
    spread: float
    narrowest: float
    unit: float


def _spectrum(steps: Sequence[Step], tilt: float, size: int, *, extended: bool) -> _Spectrum:
    """Product of all steps."""
    number = np.longdouble if extended and EXTENDED else np.float64
    single = np.ones(size // 2 + 1, dtype=np.result_type(number, 1j))
    total = np.zeros_like(single)
    log_norm, narrowest, spread = 0.0, 1.0, 0.0
    for step in steps:
        tilted, norm = _tilt(step.loss, tilt)
        log_norm += step.times * norm
        spread += step.times * float(np.linalg.norm(tilted))
        spectrum = np.asarray(fft.rfft(_fold(tilted, size).astype(number, copy=False)))
        if step.times == 1:
            single *= spectrum
            continue
        logs = _log(spectrum)
        total += step.times * logs
        narrowest = min(narrowest, _power_norm(logs, step.times - 1, size))
    if any(step.times == 1 for step in steps):
        total += _log(single)
    return _Spectrum(total, log_norm, spread, narrowest, float(np.finfo(number).eps))


def _at_random(inner: _Spectrum, steps: Sequence[Step], seen: Seen, size: int) -> _Spectrum:
    """Rounds that happen or not: a mixture with loss zero, rounded towards the bound's side."""
    grid = steps[0].loss.step
    offset = sum(step.times * step.loss.offset for step in steps) / grid
    place = np.ceil(-offset) if steps[0].loss.rounds_up else np.floor(-offset)
    zero = int(place) - sum(step.times * step.loss.start for step in steps)
    share, log_round = _mixture(inner.log_norm, seen)
    number = inner.logs.real.dtype.type
    angle = ((np.arange(len(inner.logs)) * (zero % size)) % size).astype(number) * (8 * np.arctan(number(1)) / size)
    mixed = _log(np.asarray((1 - share) * np.exp(-1j * angle) + share * np.exp(inner.logs), dtype=inner.logs.dtype))
    return _Spectrum(
        seen.rounds * mixed,
        seen.rounds * log_round,
        seen.rounds * (inner.spread + 4),
        min(1.0, _power_norm(mixed, seen.rounds - 1, size)),
        inner.unit,
    )


def _mixture(log_inner: float, seen: Seen) -> tuple[float, float]:
    """Tilted share of rounds that happen, and the logarithm of a round's norm."""
    happens = np.log(seen.rate) + log_inner
    skipped = np.log1p(-seen.rate) if seen.rate < 1 else -np.inf
    norm = float(np.logaddexp(happens, skipped))
    return float(np.exp(happens - norm)), norm


def _tilt(loss: GridLoss, tilt: float) -> tuple[Floats, float]:
    """The tilted mass, summing to one, and the logarithm of its norm."""
    points = loss.offset + loss.step * (loss.start + np.arange(len(loss.mass)))
    with np.errstate(divide="ignore"):
        logs = np.log(loss.mass) + tilt * points
    top = float(logs.max())
    mass = np.exp(logs - top)
    total = float(mass.sum())
    return mass / total, top + float(np.log(total))


def _fold(mass: Floats, size: int) -> Floats:
    """Wrap a mass that is longer than the window around it."""
    if len(mass) <= size:
        return np.concatenate((mass, np.zeros(size - len(mass))))
    rows = -(-len(mass) // size)
    return np.asarray(np.concatenate((mass, np.zeros(rows * size - len(mass)))).reshape(rows, size).sum(axis=0))


def _log(spectrum: Complexes) -> Complexes:
    with np.errstate(divide="ignore"):
        logs = np.log(spectrum)
    return np.where(np.isfinite(logs), logs, -1e3)


def _power_norm(logs: Complexes, count: int, size: int) -> float:
    """2-norm of the mass composed ``count`` times, by Parseval; an upper bound."""
    squares = np.exp(2 * count * np.minimum(logs.real, 0.0).astype(float))
    return 1.01 * float(np.sqrt(min(1.0, 2 * squares.sum() / size)))


def _tail(
    steps: Sequence[Step], tilt: float, further: float, end: float, log_norm: float, seen: Seen
) -> tuple[float, float]:
    """Chernoff bounds on the untilted and the tilted mass beyond ``end``."""
    inner = sum(step.times * _tilt(step.loss, tilt + further)[1] for step in steps)
    tilted = seen.rounds * _mixture(inner, seen)[1] - log_norm - further * end
    untilted = tilted + log_norm - tilt * end
    return float(np.exp(min(untilted, 0.0))), float(np.exp(min(tilted, 0.0)))
