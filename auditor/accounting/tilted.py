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
    count: int


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
    steps: Sequence[Step], tilt: float, window: Window, *, chernoff: tuple[float, float], extended: bool = False
) -> Composed:
    """Compose all steps on one grid.

    Args:
        steps: Loss distributions with one common grid width.
        tilt: The tilt, at least zero.
        window: What to cover.
        chernoff: How much to tilt further up and down to bound what lies outside the window.
        extended: Transform in extended precision, where the platform has it.
    """
    grid = steps[0].loss.step
    origin = sum(step.count * (step.loss.offset + grid * step.loss.start) for step in steps)
    size = int(fft.next_fast_len(max(64, int(np.ceil((window.high - window.low) / grid)) + 2), real=True))
    number = np.longdouble if extended and EXTENDED else np.float64
    unit = float(np.finfo(number).eps)
    total = np.zeros(size // 2 + 1, dtype=np.result_type(number, 1j))
    log_norm, narrowest, spread, turns = 0.0, 1.0, 0.0, 0
    for step in steps:
        tilted, norm = _tilt(step.loss, tilt)
        log_norm += step.count * norm
        spectrum = np.asarray(fft.rfft(_fold(tilted, size).astype(number)))
        logs = _log(spectrum)
        total += step.count * logs
        width = float(np.linalg.norm(tilted))
        narrowest = min(narrowest, _power_norm(logs, step.count - 1, size))
        spread += step.count * width
        turns += step.count
    power = np.exp(total)
    cyclic = fft.irfft(power, n=size)
    first = int(np.floor((window.low - origin) / grid))
    mass = np.roll(cyclic.astype(float), -(first % size))
    level = float(np.abs(power).mean())
    transforms = 10 * np.log2(size) * (spread * narrowest + float(np.linalg.norm(mass)))
    rounding = float(unit * (transforms + 16 * turns * level))
    low, high = origin + grid * first, origin + grid * (first + size - 1)
    up, down = chernoff
    above, wrapped_up = _tail(steps, tilt, up, high, log_norm)
    _, wrapped_down = _tail(steps, tilt, -down, low, log_norm)
    return Composed(
        losses=low + grid * np.arange(size),
        mass=mass,
        tilt=tilt,
        log_norm=log_norm,
        rounding=rounding,
        above=above,
        wrapped=wrapped_up + wrapped_down,
        infinity=float(-np.expm1(sum(step.count * np.log1p(-step.loss.infinity) for step in steps))),
        relative=64 * _EPS * turns,
    )


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


def _tail(steps: Sequence[Step], tilt: float, further: float, end: float, log_norm: float) -> tuple[float, float]:
    """Chernoff bounds on the untilted and the tilted mass beyond ``end``."""
    log_tilted = sum(step.count * _tilt(step.loss, tilt + further)[1] for step in steps) - log_norm
    tilted = log_tilted - further * end
    untilted = tilted + log_norm - tilt * end
    return float(np.exp(min(untilted, 0.0))), float(np.exp(min(tilted, 0.0)))
