"""From the user's ``federation`` and ``privacy`` blocks to a specification; what is not stated is refused."""

import math

from auditor.accounting.spec import (
    Adjacency,
    Noise,
    Participation,
    Phase,
    PrivacySpec,
    Refused,
    Sampler,
    Trust,
    Unit,
    stated,
)
from auditor.config.settings import FederationSettings, OverrideSettings, PrivacySettings

_ALL_ROUNDS = "model after every round"
_EMPTY = OverrideSettings(reason="nothing is overridden")


def spec_from_settings(
    federation: FederationSettings, privacy: PrivacySettings, *, records: int | None = None, held: int | None = None
) -> PrivacySpec:
    """The specification that the settings describe.

    Args:
        federation: How the federation runs.
        privacy: The declared mechanism; not ``none``.
        records: Training records, where they are known.
        held: Records at the client in question; an equal share when left out. See `silos` for the one that counts.

    Raises:
        Refused: Something needed is not stated.
    """
    unit = Unit(stated(privacy.protects, "protects"))
    adjacency = Adjacency(stated(privacy.adjacency, "adjacency"))
    declared = Sampler(stated(privacy.sampling, "sampling"))
    if privacy.noise_multiplier is None or privacy.delta is None:
        missing = "noise_multiplier" if privacy.noise_multiplier is None else "delta"
        raise Refused(f"privacy.{missing} is not stated.", remedy=f"State privacy.{missing}.")
    override = privacy.override or _EMPTY
    if privacy.mechanism == "dp_sgd":
        spec = _per_record(federation, privacy, unit, adjacency, declared, records, held)
    elif privacy.mechanism == "local":
        spec = _local(federation, privacy, unit, adjacency)
    else:
        spec = _per_client(federation, privacy, unit, adjacency, declared)
    adaptive = privacy.clipping is not None and privacy.clipping.kind == "adaptive"
    return spec.model_copy(
        update={
            "tuning_runs": override.tuning_runs or 1,
            "count_noise": (privacy.clipping.count_noise or 0.0) if adaptive and privacy.clipping else None,
            "releases": (_ALL_ROUNDS,),
        }
    )


def client_rate(federation: FederationSettings, override: OverrideSettings | None = None) -> float:
    """Chance that a client takes part in a round."""
    who = federation.participation
    if override and override.sampling_rate:
        return override.sampling_rate
    if who.scheme == "poisson":
        return who.rate or 1.0
    if who.scheme == "fixed_size" and who.count:
        population = (override.records if override else None) or federation.clients
        return min(1.0, who.count / population)
    return 1.0


def steps_per_round(federation: FederationSettings, records_per_client: int) -> int:
    """Noisy steps of one client in one round."""
    if federation.algorithm == "fedsgd":
        return 1
    return federation.local.epochs * math.ceil(records_per_client / federation.local.batch_size)


def client_sampler(federation: FederationSettings, declared: Sampler) -> Sampler:
    """What protects a client: Poisson only where both the declaration and the federation say so."""
    scheme = Sampler(federation.participation.scheme)
    if declared is scheme or (declared is Sampler.SHUFFLED and scheme is Sampler.FIXED_SIZE):
        return declared
    if Sampler.FULL in (declared, scheme):
        return Sampler.FULL
    return scheme if declared is Sampler.POISSON else declared


def _phase(privacy: PrivacySettings, rate: float, steps: int) -> Phase:
    assert privacy.noise_multiplier is not None
    clip = privacy.clipping.norm if privacy.clipping else 1.0
    return Phase(noise_multiplier=privacy.noise_multiplier, rate=rate, steps=steps, clip=clip)


def _per_client(
    federation: FederationSettings, privacy: PrivacySettings, unit: Unit, adjacency: Adjacency, declared: Sampler
) -> PrivacySpec:
    """DP-FedAvg, distributed noise and DP-FTRL: one clipped update of each client in a round."""
    override = privacy.override or _EMPTY
    rate, steps = client_rate(federation, override), override.steps or federation.rounds
    sampler = client_sampler(federation, declared)
    tree = privacy.mechanism == "dp_ftrl"
    distributed = privacy.mechanism == "distributed"
    alive = 1 - federation.aggregation.secure.dropout
    if distributed and alive <= 0:
        raise Refused("With federation.aggregation.secure.dropout 1 no client adds its noise.")
    most = max(1, math.ceil(steps * rate)) if sampler is Sampler.SHUFFLED else None
    return PrivacySpec(
        unit=unit,
        adjacency=adjacency,
        sampler=sampler,
        phases=(_phase(privacy, rate if sampler is not Sampler.FULL else 1.0, steps),),
        delta=privacy.delta or 0.0,
        noise=Noise.TREE if tree else Noise.GAUSSIAN,
        trust=Trust.DISTRIBUTED if distributed else Trust.CENTRAL,
        population=override.records or federation.clients,
        honest_fraction=(override.honest_fraction or 1.0) * alive if distributed else 1.0,
        participation=Participation(most=most),
        counts_as=Adjacency.REPLACE_ONE if unit is Unit.RECORD else None,
    )


def _local(federation: FederationSettings, privacy: PrivacySettings, unit: Unit, adjacency: Adjacency) -> PrivacySpec:
    """Each client's own noise: any two updates must look alike, and nobody is hidden in a crowd."""
    override = privacy.override or _EMPTY
    own = unit is Unit.CLIENT and adjacency is Adjacency.ZERO_OUT
    return PrivacySpec(
        unit=unit,
        adjacency=adjacency,
        sampler=Sampler.FULL,
        phases=(_phase(privacy, 1.0, override.steps or federation.rounds),),
        delta=privacy.delta or 0.0,
        trust=Trust.LOCAL,
        population=override.records or federation.clients,
        seen_rate=1.0 if override.steps else client_rate(federation, override),
        counts_as=None if own else Adjacency.REPLACE_ONE,
    )


def _per_record(
    federation: FederationSettings,
    privacy: PrivacySettings,
    unit: Unit,
    adjacency: Adjacency,
    declared: Sampler,
    records: int | None,
    held: int | None,
) -> PrivacySpec:
    """DP-SGD at one client that holds ``held`` records; an equal share where that is not said."""
    override = privacy.override or _EMPTY
    total = override.records or records
    held = held or (max(1, total // federation.clients) if total else None)
    rate, steps = override.sampling_rate, override.steps
    per_round, seen = 1, 1.0
    if rate is None or steps is None:
        if held is None:
            raise Refused(
                "Record-level steps and sampling rate follow from the number of training records, which is not known.",
                remedy="Give their number: auditor account --records N, or privacy.override.records with a reason.",
            )
        batches = math.ceil(held / federation.local.batch_size)
        if rate is None:
            rate = 1 / batches if declared is Sampler.SHUFFLED else min(1.0, federation.local.batch_size / held)
        if steps is None:
            per_round, seen = steps_per_round(federation, held), client_rate(federation)
            steps = federation.rounds * per_round
    whole_client = unit is Unit.CLIENT
    if whole_client and held is None:
        raise Refused(
            "Noise is per record, and protection of clients follows from its records, whose number is not known.",
            remedy="State privacy.override.records.",
        )
    return PrivacySpec(
        unit=unit,
        adjacency=adjacency,
        sampler=declared,
        phases=(_phase(privacy, 1.0 if declared is Sampler.FULL else rate, steps),),
        delta=privacy.delta or 0.0,
        population=federation.clients if whole_client else total,
        records_per_unit=held if whole_client and held else override.records_per_client or 1,
        seen_rate=seen,
        steps_per_round=per_round,
    )
