"""From a specification to dominating pairs: what bounds the mechanism from above, and what it is at least."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from auditor.accounting import closed_forms, pairs
from auditor.accounting.pairs import LossPair
from auditor.accounting.saddle import Event
from auditor.accounting.shuffled import shuffled_pair
from auditor.accounting.spec import Adjacency, Noise, Phase, PrivacySpec, Refused, Sampler, Trust
from auditor.accounting.tilted import ALWAYS, Seen

_PAIRED_RECORDS = 200
_FARTHEST = 36.0


@dataclass(frozen=True)
class Reduction:
    """A mechanism in terms the engines understand.

    Attributes:
        upper: Events that dominate the mechanism.
        lower: Events that some data set realises, or post-processing of them.
        mu_lower: Closed form instead of ``lower``.
        mu_upper: Closed form instead of ``upper``.
        exact: Upper and lower are the same mechanism.
        library: Phases in the terms of the public accountants, empty where none knows the case.
        assumptions: What the figure rests on.
        warnings: What a reader must know.
        seen: Public participation: the events are those of one round.
    """

    upper: tuple[Event, ...] = ()
    lower: tuple[Event, ...] = ()
    mu_lower: float | None = None
    mu_upper: float | None = None
    exact: bool = True
    library: tuple[Phase, ...] = ()
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seen: Seen = ALWAYS


def reduce(spec: PrivacySpec) -> Reduction:
    """The pairs of ``spec``.

    Raises:
        Refused: No bound is known for this combination.
    """
    if spec.seen_rate >= 1:
        return _always(spec, spec.tuning_runs)
    if len(spec.phases) > 1:
        raise Refused("Random public participation is accounted for one phase only.")
    rounds = spec.tuning_runs * max(1, spec.steps // spec.steps_per_round)
    phase = spec.phases[0].model_copy(update={"steps": spec.steps_per_round})
    found = _always(spec.model_copy(update={"phases": (phase,)}), 1)
    return replace(
        found,
        upper=found.upper or _as_event(found.mu_upper),
        lower=found.lower or _as_event(found.mu_lower),
        mu_upper=None,
        mu_lower=None,
        seen=Seen(rounds, spec.seen_rate),
    )


def _as_event(mu: float | None) -> tuple[Event, ...]:
    return () if mu is None else (Event(pairs.gaussian(1 / mu), 1),)


def _always(spec: PrivacySpec, times: int) -> Reduction:
    phases = tuple(effective(spec, phase) for phase in spec.phases)
    match spec.noise, spec.sampler:
        case Noise.TREE, _:
            return _tree(spec, phases, times)
        case Noise.MATRIX, _:
            return _matrix(spec, phases, times)
        case _, Sampler.FULL:
            return _full(spec, phases, times)
        case _, Sampler.POISSON:
            return _poisson(spec, phases, times)
        case _, Sampler.FIXED_SIZE:
            return _fixed_size(spec, phases, times)
        case _, Sampler.SHUFFLED:
            return _shuffled(spec, phases, times)
    raise Refused(f"No bound is known for {spec.noise} noise with {spec.sampler} sampling.")


def effective(spec: PrivacySpec, phase: Phase) -> Phase:
    """A phase with the noise that protects: honest and connected clients' share, less the cost of the clip count."""
    noise = phase.noise_multiplier
    if spec.count_noise is not None:
        noise = closed_forms.adaptive_clip_noise(noise, spec.count_noise)
    if spec.trust is Trust.DISTRIBUTED:
        noise *= math.sqrt(spec.honest_fraction)
    return phase.model_copy(update={"noise_multiplier": noise / spec.sensitivity})


def assumptions(spec: PrivacySpec) -> tuple[str, ...]:
    """What every figure of ``spec`` rests on, in sentences."""
    said = [
        f"One {spec.unit.value} is protected, adjacency {spec.adjacency.value.replace('_', ' ')}.",
        f"Units are chosen by {spec.sampler.value.replace('_', ' ')} sampling, as declared.",
        "Each unit's contribution is clipped before summing and the noise is added to the sum.",
        f"Covered releases: {', '.join(spec.releases)}; anything else that is published is not covered.",
    ]
    if spec.records_per_unit > 1:
        said.append(f"One person holds at most {spec.records_per_unit} records.")
    if spec.trust is Trust.LOCAL:
        said.append("Each client's noise protects it alone; sampling does not amplify.")
    if spec.trust is Trust.DISTRIBUTED:
        said.append(f"{spec.honest_fraction:.3g} of the noise comes from honest clients that stay connected.")
    if spec.change is not spec.adjacency:
        said.append("One change replaces the whole clipped update that holds it, whatever the adjacency says.")
    if spec.seen_rate < 1:
        said.append("The adversary sees who takes part in a round, so taking part at random does not amplify.")
    if spec.tuning_runs > 1:
        said.append(f"{spec.tuning_runs} trainings on the same data are composed.")
    if spec.count_noise is not None:
        said.append("The private count of clipped updates uses bits centred at one half.")
    if spec.sampler is Sampler.FULL and spec.noise is Noise.GAUSSIAN:
        said.append("Every unit takes part in every step.")
    return tuple(said)


def _full(spec: PrivacySpec, phases: tuple[Phase, ...], times: int) -> Reduction:
    mu = closed_forms.compose_mu(
        [
            spec.contribution / spec.sensitivity / phase.noise_multiplier * math.sqrt(phase.steps * times)
            for phase in phases
        ]
    )
    share = spec.contribution / spec.sensitivity
    plain = tuple(
        phase.model_copy(update={"noise_multiplier": phase.noise_multiplier / share, "rate": 1.0}) for phase in phases
    )
    library = _library(plain, times)
    return Reduction(mu_lower=mu, mu_upper=mu, library=library)


def _tree(spec: PrivacySpec, phases: tuple[Phase, ...], times: int) -> Reduction:
    most = spec.participation.most
    parts = []
    for phase in phases:
        taken = min(phase.steps, most) if most else phase.steps
        noise = phase.noise_multiplier * spec.sensitivity / spec.contribution
        parts += [
            closed_forms.tree_mu(noise, phase.steps, participations=taken, separation=spec.participation.separation)
        ] * times
    upper = closed_forms.compose_mu(parts)
    once = [spec.contribution / spec.sensitivity * math.sqrt(times) / phase.noise_multiplier for phase in phases]
    exact = most == 1
    said = (
        f"One unit takes part in at most {most or 'all'} rounds, at least {spec.participation.separation} apart.",
        "Noise is fresh in every node of a binary tree over the rounds; sampling does not amplify.",
    )
    lower = upper if exact else closed_forms.compose_mu(once)
    return Reduction(mu_lower=lower, mu_upper=upper, exact=exact, assumptions=said)


def _matrix(spec: PrivacySpec, phases: tuple[Phase, ...], times: int) -> Reduction:
    strategy = np.array(spec.strategy)
    most = spec.participation.most or strategy.shape[1]
    sensitivity = closed_forms.matrix_sensitivity(
        strategy, participations=most, separation=spec.participation.separation
    )
    single = float(np.linalg.norm(strategy, axis=0).max())
    scale = spec.contribution / spec.sensitivity * math.sqrt(times) / phases[0].noise_multiplier
    said = (f"Matrix mechanism; one unit takes part at most {most} times.",)
    exact = most == 1
    return Reduction(mu_lower=single * scale, mu_upper=sensitivity * scale, exact=exact, assumptions=said)


def _poisson(spec: PrivacySpec, phases: tuple[Phase, ...], times: int) -> Reduction:
    replaced = spec.change is Adjacency.REPLACE_ONE
    if all(phase.rate >= 1 for phase in phases):
        return _full(spec, phases, times)
    if spec.records_per_unit == 1:
        make = pairs.poisson_replaced if replaced else pairs.poisson
        events = tuple(Event(make(phase.noise_multiplier, phase.rate), phase.steps * times) for phase in phases)
        return Reduction(events, events, library=_library(phases, times))
    if spec.records_per_unit > _PAIRED_RECORDS:
        raise Refused(
            f"A person with {spec.records_per_unit} records is beyond what record-level noise is accounted for here.",
            remedy="Clip and noise per person (protects: client), or bound the records of a person.",
        )
    if replaced:
        raise Refused(
            "No bound is known here for replacing all of a person's records under Poisson sampling.",
            remedy="State privacy.adjacency: add_or_remove for people with several records.",
        )
    events = tuple(
        Event(pairs.poisson_group(phase.noise_multiplier, phase.rate, spec.records_per_unit), phase.steps * times)
        for phase in phases
    )
    said = ("A person's records are sampled independently and all pull the same way: a binomial mixture.",)
    return Reduction(events, events, assumptions=said)


def _fixed_size(spec: PrivacySpec, phases: tuple[Phase, ...], times: int) -> Reduction:
    if spec.records_per_unit > 1:
        return _everyone(spec, phases, times)
    replaced = spec.change is Adjacency.REPLACE_ONE
    above = pairs.fixed_size if spec.change is Adjacency.ADD_OR_REMOVE else pairs.fixed_size_replaced
    below = pairs.poisson_replaced if replaced else pairs.poisson
    upper = tuple(Event(above(phase.noise_multiplier, phase.rate), phase.steps * times) for phase in phases)
    lower = tuple(Event(below(phase.noise_multiplier, phase.rate), phase.steps * times) for phase in phases)
    said = (
        "Upper bound: sampling without replacement after Zhu et al. (2022), where another unit may stand in for the "
        "protected one. Lower bound: the data set whose other units contribute nothing.",
    )
    warn = ("The Poisson figure is a lower bound here and does not apply to a fixed-size cohort.",)
    return Reduction(upper, lower, exact=False, assumptions=said, warnings=warn)


def _everyone(spec: PrivacySpec, phases: tuple[Phase, ...], times: int) -> Reduction:
    """A person with several records under fixed-size sampling: as if all took part in every step."""
    whole = _full(spec, phases, times)
    lower = tuple(Event(pairs.poisson(phase.noise_multiplier, phase.rate), phase.steps * times) for phase in phases)
    said = ("Upper bound: all of the person's records take part in every step.",)
    return Reduction((), lower, mu_upper=whole.mu_upper, exact=False, assumptions=said)


def _shuffled(spec: PrivacySpec, phases: tuple[Phase, ...], times: int) -> Reduction:
    once = spec.contribution / spec.sensitivity
    parts = [once / phase.noise_multiplier * math.sqrt(spec.passes(phase) * times) for phase in phases]
    replaced = spec.change is Adjacency.REPLACE_ONE
    lower = []
    for phase in phases:
        whole = int(phase.steps * phase.rate * (1 + 1e-12)) * times
        if whole:
            batches = max(1, round(1 / phase.rate))
            lower.append(Event(shuffled_pair(phase.noise_multiplier, batches, replaced=replaced), whole))
    said = (
        "Upper bound: each unit is in one batch of each pass and the adversary knows which. Lower bound: the largest "
        "batch sum of Chua et al. (2024).",
    )
    warn = ("The Poisson figure does not apply to shuffled or fixed batches.",)
    return Reduction(
        (), tuple(lower), mu_upper=closed_forms.compose_mu(parts), exact=False, assumptions=said, warnings=warn
    )


def _library(phases: tuple[Phase, ...], times: int) -> tuple[Phase, ...]:
    """Phases as the public accountants take them."""
    return tuple(phase.model_copy(update={"steps": phase.steps * times}) for phase in phases)


def coarser(events: Sequence[Event]) -> tuple[Event, ...]:
    """Fewer pairs that dominate the given ones: noise rounded down and rates rounded up to steps of a tenth.

    Less noise is a mechanism that the original post-processes, and so is a higher Poisson rate.
    Pairs other than one unit's Poisson sampling are kept.
    """
    counts: Counter[LossPair] = Counter()
    for pair, times in events:
        if isinstance(pair, pairs.MixturePair) and pair == pairs.poisson(pair.sigma, pair.p[-1][0]):
            sigma, rate = pair.sigma, pair.p[-1][0]
            lower = math.exp(math.floor(math.log(sigma) * 10) / 10)
            pair = pairs.poisson(lower, min(1.0, math.exp(math.ceil(math.log(rate) * 10) / 10)))
        counts[pair] += times
    return tuple(Event(pair, times) for pair, times in counts.items())


def full_mu(events: Sequence[Event], seen: Seen) -> float | None:
    """mu of full participation, which dominates every mixture of its parts by joint convexity; None if unknown."""
    mus = []
    for pair, times in events:
        if not isinstance(pair, pairs.MixturePair):
            return None
        mus.append(_distance(pair) * math.sqrt(times * seen.rounds))
    return closed_forms.compose_mu(mus)


def underflows(events: Sequence[Event]) -> bool:
    """Whether the noise is so small that masses of the two distributions vanish in 64 bits."""
    return any(isinstance(pair, pairs.MixturePair) and _distance(pair) > _FARTHEST for pair, _ in events)


def _distance(pair: pairs.MixturePair) -> float:
    """Between the outermost components, in standard deviations."""
    return (max(mean for _, mean in pair.p) - min(mean for _, mean in pair.q)) / pair.sigma
