"""The public accountants as independent opinions. Each answers or says why not; none is believed alone.

They know Poisson-subsampled and plain Gaussian steps. Where the predicted work is large they are skipped with the
prediction as the reason, so that accounting never stalls on them.
"""

import importlib.metadata
import importlib.util
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from auditor.accounting.spec import Adjacency, Phase
from auditor.accounting.tilted import ALWAYS, Seen
from auditor.core.privacy import EngineValue


class Question(NamedTuple):
    """What the accountants are asked.

    Attributes:
        phases: Poisson-subsampled Gaussian steps; rate 1 is a plain Gaussian.
        adjacency: Change of one unit.
        delta: Target.
        expected: Epsilon as this project finds it; sets their grids.
        grid: This project's grid width.
        points: Most grid points that a library may need.
        seen: Public participation: the phases are those of one round.
    """

    phases: Sequence[Phase]
    adjacency: Adjacency
    delta: float
    expected: float
    grid: float
    points: int = 1_500_000
    seen: Seen = ALWAYS


class Skipped(Exception):
    """Why an engine was not asked."""


def ask_all(question: Question) -> tuple[EngineValue, ...]:
    """Every library's answer."""
    return tuple(ask(question) for ask in (prv, pld, rdp_google, rdp_opacus))


def prv(question: Question) -> EngineValue:
    """prv-accountant: Gopi, Lee and Wutschitz, 2021, arXiv:2106.02848."""
    return _answered("PRV (prv-accountant)", "prv-accountant", question, _prv)


def pld(question: Question) -> EngineValue:
    """dp-accounting's privacy-loss distributions, connect-the-dots, pessimistic."""
    return _answered("PLD (dp-accounting)", "dp-accounting", question, _pld)


def rdp_google(question: Question) -> EngineValue:
    """dp-accounting's Renyi accountant."""
    return _answered("RDP (dp-accounting)", "dp-accounting", question, _rdp_google)


def rdp_opacus(question: Question) -> EngineValue:
    """Opacus' Renyi analysis, loaded without torch."""
    return _answered("RDP (opacus)", "opacus", question, _rdp_opacus)


class _Values(NamedTuple):
    """An engine's answer; None where it has no such bound."""

    lower: float | None
    estimate: float | None
    upper: float | None
    note: str = ""


def _answered(name: str, package: str, question: Question, compute: Callable[[Question], _Values]) -> EngineValue:
    version = importlib.metadata.version(package)
    began = time.perf_counter()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), _quiet():
            warnings.simplefilter("ignore")
            values = compute(question)
    except Skipped as why:
        return EngineValue(engine=name, version=version, note=f"not asked: {why}")
    except Exception as error:  # a library's failure is an answer, and is printed
        seconds = time.perf_counter() - began
        return EngineValue(engine=name, version=version, seconds=seconds, note=f"failed: {_short(error)}")
    return EngineValue(
        engine=name,
        version=version,
        lower=values.lower,
        estimate=values.estimate,
        upper=values.upper,
        seconds=time.perf_counter() - began,
        note=values.note,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """dp-accounting logs each Renyi order it drops."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]


def _plain(question: Question) -> None:
    if question.seen != ALWAYS:
        raise Skipped("it does not know random public participation")


def _prv(question: Question) -> _Values:
    _plain(question)
    if question.adjacency is Adjacency.REPLACE_ONE:
        raise Skipped("it has no replace-one adjacency")
    if question.delta < 1e-12:
        raise Skipped("delta below 1e-12 is outside its range")
    if len(question.phases) > 20:
        raise Skipped(f"{len(question.phases)} distinct phases")
    steps = sum(phase.steps for phase in question.phases)
    error = float(np.clip(0.01 * question.expected, 1e-4, 0.01))
    domain = question.expected * 1.3 + 3
    points = 2 * domain * math.sqrt(steps / 2 * math.log(12000 / question.delta)) / error
    if points > question.points:
        raise Skipped(f"predicted grid of {points:.1e} points")
    import prv_accountant

    mechanisms = [
        prv_accountant.GaussianMechanism(noise_multiplier=phase.noise_multiplier)
        if phase.rate >= 1
        else prv_accountant.PoissonSubsampledGaussianMechanism(
            sampling_probability=phase.rate, noise_multiplier=phase.noise_multiplier
        )
        for phase in question.phases
    ]
    counts = [phase.steps for phase in question.phases]
    accountant = prv_accountant.PRVAccountant(
        prvs=mechanisms, eps_error=error, delta_error=question.delta / 1000, max_self_compositions=counts
    )
    lower, estimate, upper = (float(value) for value in accountant.compute_epsilon(question.delta, counts))
    return _Values(lower, estimate, upper, "covers the direction 'removed' alone")


def _pld(question: Question) -> _Values:
    _plain(question)
    if len(question.phases) > 20:
        raise Skipped(f"{len(question.phases)} distinct phases")
    grid = min(1e-4, 2.5 * question.grid) if question.grid > 0 else 1e-4
    grid = max(grid, question.expected * 1e-5)
    points = sum(_loss_span(phase) for phase in question.phases) / grid + 2 * question.expected / grid
    if points > question.points:
        raise Skipped(f"predicted grid of {points:.1e} points")
    from dp_accounting.pld import privacy_loss_distribution

    composed: Any = None
    for phase in question.phases:
        single = privacy_loss_distribution.from_gaussian_mechanism(
            phase.noise_multiplier,
            sampling_prob=phase.rate,
            value_discretization_interval=grid,
            neighboring_relation=_relation(question.adjacency),
        )
        repeated = single.self_compose(phase.steps)
        composed = repeated if composed is None else composed.compose(repeated)
    upper = float(composed.get_epsilon_for_delta(question.delta))
    return _Values(None, None, upper, f"grid {grid:.2g}")


def _loss_span(phase: Phase) -> float:
    """About the width of the losses that PLD keeps of one step."""
    reach = 10.0
    sigma = phase.noise_multiplier
    return (1 + 2 * reach * sigma) / (2 * sigma * sigma) * (2 if phase.rate >= 1 else 1)


def _relation(adjacency: Adjacency) -> Any:
    from dp_accounting.privacy_accountant import NeighboringRelation

    if adjacency is Adjacency.REPLACE_ONE:
        return NeighboringRelation.REPLACE_ONE
    return NeighboringRelation.ADD_OR_REMOVE_ONE


def _rdp_google(question: Question) -> _Values:
    _plain(question)
    if len(question.phases) > 60:
        raise Skipped(f"{len(question.phases)} distinct phases")
    if question.adjacency is Adjacency.REPLACE_ONE and any(phase.rate < 1 for phase in question.phases):
        raise Skipped("it has no Poisson sampling under replace-one")
    from dp_accounting import dp_event
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(neighboring_relation=_relation(question.adjacency))
    for phase in question.phases:
        event: Any = dp_event.GaussianDpEvent(phase.noise_multiplier)
        if phase.rate < 1:
            event = dp_event.PoissonSampledDpEvent(phase.rate, event)
        accountant.compose(event, phase.steps)
    return _Values(None, None, float(accountant.get_epsilon(question.delta)))


def _rdp_opacus(question: Question) -> _Values:
    if question.adjacency is Adjacency.REPLACE_ONE:
        raise Skipped("it has no replace-one adjacency")
    if len(question.phases) > 60:
        raise Skipped(f"{len(question.phases)} distinct phases")
    analysis = opacus_rdp()
    orders = [1 + x / 10.0 for x in range(1, 100)] + [float(order) for order in range(12, 64)]
    total = sum(
        np.asarray(
            analysis.compute_rdp(
                q=phase.rate, noise_multiplier=phase.noise_multiplier, steps=phase.steps, orders=orders
            )
        )
        for phase in question.phases
    )
    if question.seen != ALWAYS:
        powers = np.array(orders) - 1
        rate = question.seen.rate
        total = question.seen.rounds * np.logaddexp(np.log1p(-rate), np.log(rate) + powers * total) / powers
    upper, _ = analysis.get_privacy_spent(orders=orders, rdp=total, delta=question.delta)
    note = "rounds that happen or not are mixed by this project" if question.seen != ALWAYS else ""
    return _Values(None, None, float(upper), note)


def opacus_rdp() -> ModuleType:
    """The module ``opacus.accountants.analysis.rdp`` from its file, because the package imports torch."""
    files = importlib.metadata.files("opacus") or []
    path = next(file for file in files if str(file).endswith("accountants/analysis/rdp.py"))
    described = importlib.util.spec_from_file_location("auditor_opacus_rdp", str(path.locate()))
    if described is None or described.loader is None:
        raise ImportError("opacus.accountants.analysis.rdp cannot be found")
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module
