"""A specification to epsilon with its bracket."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from auditor.accounting import libraries
from auditor.accounting.bracket import WORK, Bracket, LossEngine
from auditor.accounting.closed_forms import gaussian_epsilon
from auditor.accounting.crosscheck import Verdict, crosscheck
from auditor.accounting.discrete import discrete_gaussian_rho, renyi_epsilon, skellam_curve
from auditor.accounting.reduce import Reduction, assumptions, coarser, effective, full_mu, reduce, underflows
from auditor.accounting.saddle import Event
from auditor.accounting.spec import Adjacency, Noise, PrivacySpec
from auditor.accounting.tilted import Seen
from auditor.core.privacy import Agreement, EngineValue, EpsilonEstimate

OWN = "tilted FFT"
VERSION = "1"
_MANY = 40
_FALL_BACK = "Fall-back"


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        precision: Width of the bracket aimed at, relative to epsilon.
        libraries: Ask the public accountants too.
        points: Largest grid that a library may need.
        work: Grid points that this project's engine may compute for one direction (about 0.3 microseconds each).
    """

    precision: float = 1e-4
    libraries: bool = True
    points: int = 1_500_000
    work: int = WORK


QUICK = Effort(precision=1e-3, libraries=False, work=WORK // 4)


def account(spec: PrivacySpec, effort: Effort | None = None) -> EpsilonEstimate:
    """Bracket epsilon of ``spec`` and ask every accountant that knows the case.

    Raises:
        Refused: No bound is known.
    """
    effort = effort or Effort()
    began = time.perf_counter()
    if spec.noiseless:
        return _infinite(spec, time.perf_counter() - began)
    if spec.noise in (Noise.DISCRETE_GAUSSIAN, Noise.SKELLAM):
        return _renyi_only(spec, began)
    reduction = reduce(spec)
    bracket = epsilon_bracket(reduction, spec, effort)
    if bracket.reason.startswith(_FALL_BACK):
        reduction = replace(reduction, exact=False)
    engines = (_own(bracket, reduction), *_ask(reduction, spec, bracket, effort))
    verdict = _verdict(reduction, spec, bracket, engines)
    lower = min(bracket.lower, verdict.upper)
    return EpsilonEstimate(
        lower=lower,
        estimate=_estimate(reduction, spec, lower, verdict.upper),
        upper=verdict.upper,
        delta=spec.delta,
        unit=spec.unit.value,
        adjacency=spec.adjacency.value,
        sampler=spec.sampler.value,
        exactness="exact" if reduction.exact else "bound",
        agreement=verdict.agreement,
        engines=engines,
        assumptions=(*assumptions(spec), *reduction.assumptions),
        warnings=(*reduction.warnings, *verdict.warnings, *([bracket.reason] if bracket.reason else [])),
        seconds=time.perf_counter() - began,
    )


def epsilon_bracket(reduction: Reduction, spec: PrivacySpec, effort: Effort) -> Bracket:
    """Lower and upper epsilon of a reduction, over both directions where they differ."""
    if reduction.mu_upper is not None:
        value = gaussian_epsilon(reduction.mu_upper, spec.delta)
        upper = Bracket(value * (1 - 1e-12), value * (1 + 1e-12))
    else:
        upper = both_ways(reduction.upper, reduction.seen, spec, effort)
    if reduction.exact:
        return upper
    return replace(upper, lower=min(_lower(reduction, spec, effort), upper.upper))


def both_ways(events: Sequence[Event], seen: Seen, spec: PrivacySpec, effort: Effort) -> Bracket:
    """The larger of 'removed' and 'added'; the smaller one is computed no finer than needed to know that it is."""

    fine = effort.precision * (2 if len(events) > _MANY else 1)

    def bracket(precision: float, *, mirrored: bool, work: int = effort.work) -> Bracket:
        engine = LossEngine(events, mirrored=mirrored, precision=precision, work=work, seen=seen)
        return engine.epsilon(spec.delta)

    if underflows(events):
        tiny = Bracket(0.0, math.inf, reason="the noise is so small that masses underflow")
        return _fall_back(tiny, events, seen, spec.delta)
    first = bracket(fine, mirrored=False)
    if not math.isfinite(first.upper):
        return _fall_back(first, events, seen, spec.delta)
    if spec.change is Adjacency.REPLACE_ONE or all(event.pair.symmetric for event in events):
        return first
    if LossEngine(events, mirrored=True, seen=seen).ceiling <= first.lower:
        return first
    if len(events) > _MANY and _dominated(events, seen, spec.delta, first.lower):
        return first
    other = bracket(2e-2, mirrored=True, work=effort.work // 4)
    if other.upper > first.lower:
        other = bracket(fine, mirrored=True)
    larger = first if first.upper >= other.upper else other
    return replace(
        larger,
        lower=max(first.lower, other.lower),
        upper=max(first.upper, other.upper),
        seconds=first.seconds + other.seconds,
    )


def _fall_back(found: Bracket, events: Sequence[Event], seen: Seen, delta: float) -> Bracket:
    """Full participation in closed form, which dominates every mixture of its parts by joint convexity."""
    mu = full_mu(events, seen)
    if mu is None:
        return found
    upper = gaussian_epsilon(mu, delta) * (1 + 1e-12)
    reason = f"{_FALL_BACK} to full participation in closed form, because {found.reason or 'no grid sufficed'}."
    return replace(found, upper=upper, reason=reason)


def _dominated(events: Sequence[Event], seen: Seen, delta: float, lower: float) -> bool:
    """Whether 'added' stays below ``lower``, by a quick bound: less noise and a higher rate, rounded to a few pairs."""
    engine = LossEngine(coarser(events), mirrored=True, precision=2e-2, work=WORK // 4, seen=seen)
    return engine.epsilon(delta).upper <= lower


def _lower(reduction: Reduction, spec: PrivacySpec, effort: Effort) -> float:
    if reduction.mu_lower is not None:
        return gaussian_epsilon(reduction.mu_lower, spec.delta) * (1 - 1e-12)
    return both_ways(reduction.lower, reduction.seen, spec, effort).lower if reduction.lower else 0.0


def _own(bracket: Bracket, reduction: Reduction) -> EngineValue:
    closed = reduction.mu_upper is not None
    note = bracket.reason or (f"grid {bracket.step:.2g}, {bracket.points} points" if bracket.points else "")
    return EngineValue(
        engine="closed form" if closed else OWN,
        version=VERSION,
        lower=bracket.lower,
        estimate=0.5 * (bracket.lower + bracket.upper) if math.isfinite(bracket.upper) else bracket.upper,
        upper=bracket.upper,
        seconds=bracket.seconds,
        note=note,
    )


def _ask(reduction: Reduction, spec: PrivacySpec, bracket: Bracket, effort: Effort) -> tuple[EngineValue, ...]:
    if not reduction.library or not effort.libraries or not math.isfinite(bracket.upper):
        return ()
    plain = all(phase.rate >= 1 for phase in reduction.library)
    question = libraries.Question(
        reduction.library,
        Adjacency.ADD_OR_REMOVE if plain else spec.change,
        spec.delta,
        bracket.upper,
        bracket.step,
        effort.points,
        reduction.seen,
    )
    return libraries.ask_all(question)


def _verdict(reduction: Reduction, spec: PrivacySpec, bracket: Bracket, engines: tuple[EngineValue, ...]) -> Verdict:
    checked = crosscheck(bracket, engines[1:], spec.delta)
    if not reduction.exact and checked.agreement is not Agreement.DISPUTED:
        return checked._replace(agreement=Agreement.BOUND_ONLY)
    return checked


def _estimate(reduction: Reduction, spec: PrivacySpec, lower: float, upper: float) -> float:
    """The middle of a numerical bracket; the bound itself where the truth may be anywhere below it."""
    return 0.5 * (lower + upper) if reduction.exact and math.isfinite(upper) else upper


def _infinite(spec: PrivacySpec, seconds: float) -> EpsilonEstimate:
    return EpsilonEstimate(
        lower=math.inf,
        estimate=math.inf,
        upper=math.inf,
        delta=spec.delta,
        unit=spec.unit.value,
        adjacency=spec.adjacency.value,
        sampler=spec.sampler.value,
        agreement=Agreement.AGREED,
        assumptions=("Some step adds no noise, so nothing bounds what it reveals.",),
        seconds=seconds,
    )


def _renyi_only(spec: PrivacySpec, began: float) -> EpsilonEstimate:
    """Discrete noise: a Renyi bound from above, nothing from below; sampling is not counted."""
    upper = _discrete_epsilon(spec)
    own = EngineValue(engine="RDP (own)", version=VERSION, upper=upper)
    return EpsilonEstimate(
        lower=0.0,
        estimate=upper,
        upper=upper,
        delta=spec.delta,
        unit=spec.unit.value,
        adjacency=spec.adjacency.value,
        sampler=spec.sampler.value,
        exactness="bound",
        agreement=Agreement.BOUND_ONLY,
        engines=(own,),
        assumptions=(
            *assumptions(spec),
            "The clip holds after rounding to the grid; amplification by sampling is not counted.",
        ),
        seconds=time.perf_counter() - began,
    )


def _discrete_epsilon(spec: PrivacySpec) -> float:
    dimension = spec.dimension or 1
    phases = [effective(spec, phase) for phase in spec.phases]
    units = spec.contribution / spec.sensitivity * spec.scale
    times = spec.tuning_runs
    if spec.noise is Noise.DISCRETE_GAUSSIAN:
        rho = sum(
            phase.steps
            * times
            * discrete_gaussian_rho(
                sensitivity=units * phase.clip,
                variance=(phase.noise_multiplier * phase.clip * spec.scale) ** 2 / spec.noisers,
                noisers=spec.noisers,
                dimension=dimension,
            )
            for phase in phases
        )
        return renyi_epsilon(lambda orders: rho * orders, spec.delta)
    curves = [
        skellam_curve(
            sensitivity=units * phase.clip,
            variance=(phase.noise_multiplier * phase.clip * spec.scale) ** 2,
            dimension=dimension,
        )
        for phase in phases
    ]
    return renyi_epsilon(
        lambda orders: sum(
            (phase.steps * times * curve(orders) for phase, curve in zip(phases, curves, strict=True)), 0 * orders
        ),
        spec.delta,
        whole_orders=True,
    )
