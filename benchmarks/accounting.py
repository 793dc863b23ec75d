"""Accounting against its targets: errors, brackets and times as a table.

    python benchmarks/accounting.py [reference] [delta] [long] [rounds] [caps] [random] [--random-count 500]

Times are CPU seconds of this process, so that other work on the machine counts little.
"""

import argparse
import math
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditor.accounting.account import Effort, account
from auditor.accounting.bracket import LossEngine
from auditor.accounting.caps import FPRS, GridProfile, loss_profile
from auditor.accounting.closed_forms import gaussian_tpr
from auditor.accounting.pairs import gaussian
from auditor.accounting.saddle import Event
from auditor.accounting.spec import Adjacency, Phase, PrivacySpec, Sampler, Unit
from auditor.core.privacy import EpsilonEstimate
from benchmarks.measuring import Options
from tests.accounting.reference import REFERENCES

OWN = Effort(libraries=False)


class Timed(NamedTuple):
    estimate: EpsilonEstimate
    seconds: float


def spec(phases: list[tuple[float, float, int]], delta: float) -> PrivacySpec:
    return PrivacySpec(
        unit=Unit.CLIENT,
        adjacency=Adjacency.ADD_OR_REMOVE,
        sampler=Sampler.POISSON,
        phases=tuple(Phase(noise_multiplier=sigma, rate=rate, steps=steps) for sigma, rate, steps in phases),
        delta=delta,
    )


def timed(question: PrivacySpec, effort: Effort = OWN) -> Timed:
    began = time.process_time()
    return Timed(account(question, effort), time.process_time() - began)


def allowed(epsilon: float) -> float:
    return max(1e-3 * epsilon, 1e-4)


def reference() -> Iterator[str]:
    """The 25 settings of the reference table, with every accountant asked."""
    yield "id          lower        upper    reference     error   allowed     width      s  status"
    good = narrow = sound = 0
    for row in REFERENCES:
        found, seconds = timed(spec(row.phases, row.delta), Effort())
        error = found.upper - row.epsilon
        limit = 0.01 * row.epsilon if row.id in ("S10", "S20") else max(1e-4 * row.epsilon, row.tolerance)
        width = found.upper - found.lower
        good += abs(error) <= limit
        sound += found.upper >= row.epsilon - row.tolerance
        narrow += width <= allowed(found.upper)
        yield (
            f"{row.id:4} {found.lower:12.7f} {found.upper:12.7f} {row.epsilon:12.7f} {error:9.1e} {limit:9.1e} "
            f"{width:9.1e} {seconds:6.2f}  {found.agreement}"
        )
    total = len(REFERENCES)
    yield f"within the allowed error {good}/{total}; never below {sound}/{total}; bracket narrow {narrow}/{total}"


def deltas() -> Iterator[str]:
    """Delta from 1e-15 to 1e-2."""
    settings = [(0.8, 0.004, 5000), (2.0, 0.05, 2000), (1.0, 0.01, 1000), (0.3, 0.01, 1000), (20.0, 1e-3, 100)]
    for sigma, rate, steps in settings:
        values, previous = [], math.inf
        for exponent in range(-15, -1):
            found = timed(spec([(sigma, rate, steps)], 10.0**exponent)).estimate
            fine = 0 <= found.lower <= found.upper <= previous * (1 + 1e-9) and math.isfinite(found.upper)
            fine = fine and found.upper - found.lower <= allowed(found.upper)
            previous = found.upper + allowed(found.upper)
            values.append(f"{found.upper:.5g}{'' if fine else '!'}")
        yield f"sigma {sigma:g} q {rate:g} T {steps}: {' '.join(values)}"


def long() -> Iterator[str]:
    """A million steps."""
    for sigma, rate in [(1.0, 0.001), (2.0, 0.0005), (0.7, 1e-4), (10.0, 0.01)]:
        found, seconds = timed(spec([(sigma, rate, 1_000_000)], 1e-6))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
        ratio = (found.upper - found.lower) / allowed(found.upper)
        yield (
            f"sigma {sigma:g} q {rate:g}: [{found.lower:.6f}, {found.upper:.6f}] width/allowed {ratio:.2f}, "
            f"{seconds:.2f} s, peak {memory:.0f} MB"
        )


def rounds() -> Iterator[str]:
    """A thousand different rounds."""
    random = np.random.default_rng(7)
    phases = [
        (float(sigma), float(rate), 1)
        for sigma, rate in zip(random.uniform(0.7, 2.0, 1000), random.uniform(0.001, 0.05, 1000), strict=True)
    ]
    found, seconds = timed(spec(phases, 1e-6))
    ratio = (found.upper - found.lower) / allowed(found.upper)
    yield f"[{found.lower:.6f}, {found.upper:.6f}] width/allowed {ratio:.2f}, {seconds:.2f} s"


def caps() -> Iterator[str]:
    """Caps on the ROC curve: time, and error against the Gaussian closed form."""
    for row in REFERENCES:
        if row.id not in ("S02", "S04", "S15"):
            continue
        began = time.process_time()
        profile = loss_profile(spec(row.phases, row.delta))
        assert profile is not None
        built = time.process_time() - began
        began = time.process_time()
        values = [profile.tpr(fpr) for fpr in (1e-6, 1e-4, 1e-3, 1e-2, 0.1)]
        seconds = time.process_time() - began
        yield f"{row.id}: {' '.join(f'{value:.4g}' for value in values)}; profile {built:.3f} s, 5 caps {seconds:.4f} s"
    for mu in (0.1, 1.0, 3.0):
        engine = LossEngine([Event(gaussian(10 / mu), 100)])
        profile = GridProfile(engine.upper_loss(1e-6, (0.0, 0.5, 1.0, 2.0)))
        errors = [profile.tpr(fpr) / gaussian_tpr(mu, fpr) - 1 for fpr in FPRS]
        yield f"mu {mu:g}: relative error from {min(errors):.1e} to {max(errors):.1e} over FPR 1e-6 to 0.999"


def randomly(count: int, seed: int = 11) -> Iterator[str]:
    """Random specifications."""
    random = np.random.default_rng(seed)
    slow, wide, negative, infinite, longest = [], [], 0, 0, 0.0
    for index in range(count):
        sigma = float(np.exp(random.uniform(np.log(0.05), np.log(100))))
        rate = float(np.exp(random.uniform(np.log(1e-7), 0)))
        steps = int(np.exp(random.uniform(0, np.log(1e6))))
        delta = float(10.0 ** random.uniform(-15, -2))
        found, seconds = timed(spec([(sigma, rate, steps)], delta))
        longest = max(longest, seconds)
        text = f"#{index} sigma {sigma:.4g} q {rate:.3g} T {steps} delta {delta:.2g}"
        negative += found.lower < 0 or found.upper < found.lower
        infinite += not math.isfinite(found.upper)
        if seconds > 5:
            slow.append(f"{text}: {seconds:.1f} s")
            print(slow[-1], file=sys.stderr, flush=True)
        if found.upper - found.lower > allowed(found.upper):
            wide.append(f"{text}: [{found.lower:.6g}, {found.upper:.6g}] {'; '.join(found.warnings)}, {seconds:.1f} s")
    yield (
        f"{count} answered; slower than 5 s: {len(slow)}; longest {longest:.2f} s; infinite {infinite}; "
        f"negative or crossed {negative}; wider than allowed (reason named): {len(wide)}"
    )
    yield from slow
    yield from wide


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="all of them by default")
    parser.add_argument("--random-count", type=int, default=500)
    chosen = parser.parse_args()
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "reference": reference,
        "delta": deltas,
        "long": long,
        "rounds": rounds,
        "caps": caps,
        "random": lambda: randomly(chosen.random_count),
    }
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}; CPU seconds")
    for name, part in parts.items():
        if not chosen.parts or name in chosen.parts:
            print(f"\n{name}: {part.__doc__ or 'Random specifications.'}")
            for line in part():
                print(line, flush=True)


def run(options: Options) -> None:
    """All parts but the random specifications at length."""
    sys.argv = ["accounting", *(["reference"] if options.quick else []), "--random-count", "20"]
    main()


if __name__ == "__main__":
    main()
