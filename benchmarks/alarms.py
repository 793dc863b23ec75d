"""False alarms of every proven bound on epsilon: counts over many draws, beside the largest chance that is possible.

The mechanisms saturate what they claim (the Gaussian one spends all of its curve), so nothing is hidden by slack: a
count significantly above 5 % would show a bound that is wrong.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.auditing.declared import declared_curve, p_value
from auditor.auditing.game import Floats, correctness
from auditor.auditing.one_run import GUESSED_SHARE, one_run_bound
from auditor.auditing.trade_off import gaussian, mu_of_epsilon
from auditor.auditing.walk import STEP, critical, exceeds, walk_bound
from auditor.auditing.weighted import SATURATED, sizes, tail, weighted_bound
from auditor.metrics.intervals import clopper_pearson
from benchmarks.measuring import Options, table

_HEAD = ("Bound", "True epsilon", "False alarms", "95 % interval", "Exact chance", "CPU s")
_TRUE = (0.0, 1.0, 2.0)
_ERROR = 0.05
_THIRD = _ERROR / 3
_QUICK = 100

Coins = NDArray[np.bool_]
Draw = Callable[[int, float, np.random.Generator], tuple[Floats, Coins]]
Alarm = Callable[[Floats, Coins, float], bool]


class _Case(NamedTuple):
    """A bound, the mechanism it is tried on, and how often."""

    name: str
    draw: Draw
    alarm: Alarm
    canaries: int
    draws: int


def run(options: Options) -> None:
    """Print the counts of every bound at no leakage at all and at epsilon 1 and 2."""
    rows = []
    for place, case in enumerate(_cases()):
        for row in _counted(case, place, draws=_QUICK if options.quick else case.draws):
            rows.append(row)
            print(" | ".join(row), flush=True)
    table(_HEAD, rows)


def _cases() -> tuple[_Case, ...]:
    from tests.auditing.test_one_run_audits import DELTA, laplace, normal
    from tests.auditing.test_weighted_bound import leaking

    def fixed(scores: Floats, coins: Coins, epsilon: float) -> bool:
        return one_run_bound(scores, coins, delta=0.0).epsilon > epsilon

    def weighted(scores: Floats, coins: Coins, epsilon: float) -> bool:
        return weighted_bound(scores, coins).epsilon > epsilon

    def spent(scores: Floats, coins: Coins, epsilon: float) -> bool:
        return weighted_bound(scores, coins, delta=DELTA).epsilon > epsilon

    def walk(scores: Floats, coins: Coins, epsilon: float) -> bool:
        return walk_bound(scores, coins, delta=0.0).epsilon > epsilon

    def walk_spent(scores: Floats, coins: Coins, epsilon: float) -> bool:
        return walk_bound(scores, coins, delta=DELTA).epsilon > epsilon

    return (
        _Case("fixed guesses, Laplace", laplace, fixed, 1000, 10_000),
        _Case("weighted guesses, Laplace", laplace, weighted, 400, 100_000),
        _Case("weighted guesses, Laplace", laplace, weighted, 1000, 50_000),
        _Case("weighted guesses, delta spent in full", leaking, spent, 400, 50_000),
        _Case("weighted guesses with delta, Gaussian", normal, spent, 400, 50_000),
        _Case("walk, Laplace", laplace, walk, 1000, 10_000),
        _Case("walk, delta spent in full", leaking, walk_spent, 400, 10_000),
        _Case("declared curve at a third of 5 %, Gaussian", normal, _declared(DELTA), 1000, 50_000),
    )


def _declared(delta: float) -> Alarm:
    """The statement of a run about the declared curve; its p-value depends on the number of right guesses alone."""
    known: dict[tuple[float, int], bool] = {}

    def alarm(scores: Floats, coins: Coins, epsilon: float) -> bool:
        guesses = len(scores) // 10
        right = int(correctness(scores, coins, seed=0)[:guesses].sum())
        if (epsilon, right) not in known:
            mu = mu_of_epsilon(epsilon, delta) if epsilon else 0.0
            curve = declared_curve(lambda fpr: 1 - gaussian(mu)(1 - fpr))
            known[epsilon, right] = p_value(curve, right, guesses=guesses, canaries=len(scores)) < _THIRD
        return known[epsilon, right]

    return alarm


def _counted(case: _Case, place: int, *, draws: int) -> Iterator[list[str]]:
    for epsilon in _TRUE:
        started, random = time.process_time(), np.random.default_rng([2026, place, int(epsilon)])
        alarms = sum(case.alarm(*case.draw(case.canaries, epsilon, random), epsilon) for _ in range(draws))
        ends, exact = clopper_pearson(alarms, draws), _exact(case, epsilon)
        yield [
            f"{case.name}, m = {case.canaries:,}",
            f"{epsilon:g}",
            f"{alarms:,} of {draws:,}",
            f"{ends.low:.4f} to {ends.high:.4f}",
            "-" if exact is None else f"{exact:.4f}",
            f"{time.process_time() - started:.0f}",
        ]


def _exact(case: _Case, epsilon: float) -> float | None:
    """Chance of a false alarm where every guess is right with chance ``e^eps / (1 + e^eps)``, the worst there is."""
    if case.name == "walk, Laplace":
        index = round(epsilon / STEP)
        return exceeds(case.canaries, index, critical(case.canaries, index, _ERROR))
    if not case.name.endswith("guesses, Laplace"):
        return None
    if case.name.startswith("weighted"):
        counts = sizes(case.canaries, SATURATED)
        most = sum(weight * size for weight, size in counts)
        return next(t for t in (tail(count, counts, epsilon=epsilon) for count in range(most + 1)) if t < _ERROR)
    guesses, q = round(GUESSED_SHARE * case.canaries), 1 / (1 + math.exp(-epsilon))
    tails = stats.binom.sf(np.arange(guesses + 1) - 1, guesses, q)
    return float(tails[tails < _ERROR][0])
