"""Rules about what is claimed."""

import math

from auditor.accounting.account import QUICK, account
from auditor.accounting.caps import loss_profile
from auditor.accounting.evidence import Evidence
from auditor.accounting.lint_answers import UNKNOWN, Fires, Unknown
from auditor.accounting.spec import Adjacency, Phase, PrivacySpec, Refused
from auditor.core.privacy import LintSeverity

_NEAR = 0.02


def delta_too_large(evidence: Evidence) -> Fires | Unknown | None:
    """DP03."""
    privacy = evidence.privacy
    if privacy.mechanism == "none":
        return None
    units = _units(evidence)
    if privacy.delta is None or units is None:
        return UNKNOWN
    share = privacy.delta * units
    if share <= 0.1 * (1 + 1e-9):
        return None
    found = f"delta {privacy.delta:g} times {units} protected {privacy.protects or 'unit'}s is {share:.3g}"
    if share >= 1:
        return Fires(f"{found}: a mechanism that publishes one of them outright would pass.")
    return Fires(f"{found}, above 0.1.", LintSeverity.MEDIUM)


def _units(evidence: Evidence) -> int | None:
    override = evidence.privacy.override
    if override and override.records:
        return override.records
    return evidence.federation.clients if evidence.privacy.protects == "client" else evidence.records


def per_round_epsilon(evidence: Evidence) -> Fires | Unknown | None:
    """DP04: the claim equals one round's or one step's epsilon while the total is above it."""
    claimed, spec, total = evidence.privacy.claimed_epsilon, evidence.spec, evidence.epsilon
    if claimed is None or spec is None or total is None or not evidence.claim_is_judged:
        return UNKNOWN
    if total.lower <= claimed * (1 + _NEAR) or spec.steps <= 1:
        return None
    for steps, name in {1: "step", spec.steps_per_round: "round"}.items():
        single = _epsilon(_shortened(spec, steps))
        if single is not None and abs(single - claimed) <= max(_NEAR * claimed, 5e-3):
            return Fires(
                f"The claimed epsilon {claimed:g} is that of one {name} ({single:.3g}); {spec.steps} steps compose to "
                f"at least {total.lower:.4g}."
            )
    return None


def record_level_for_people(evidence: Evidence) -> Fires | Unknown | None:
    """DP05."""
    privacy, spec = evidence.privacy, evidence.spec
    if privacy.mechanism == "none":
        return None
    if privacy.protects is None:
        return UNKNOWN
    if privacy.mechanism == "dp_sgd" and privacy.protects == "client":
        return Fires("privacy.protects says client, but DP-SGD clips and noises each record.")
    several = privacy.override.records_per_client if privacy.override else None
    if not several or several == 1 or spec is None or evidence.epsilon is None or privacy.claimed_epsilon is None:
        return None
    if not evidence.claim_is_judged:
        return UNKNOWN
    if evidence.epsilon.lower > privacy.claimed_epsilon:
        return Fires(
            f"One person has up to {several} records; for all of them epsilon is at least "
            f"{evidence.epsilon.lower:.4g}, not {privacy.claimed_epsilon:g}."
        )
    return None


def _said(adjacency: str) -> str:
    return adjacency.replace("_", "-")


def adjacency_switched(evidence: Evidence) -> Fires | Unknown | None:
    """DP09."""
    privacy, spec, epsilon = evidence.privacy, evidence.spec, evidence.epsilon
    if privacy.mechanism == "none":
        return None
    if privacy.adjacency is None:
        return Fires("privacy.adjacency is not stated.")
    used = evidence.privacy.practice.accounted_adjacency
    if used is not None and used != privacy.adjacency:
        return Fires(f"privacy.adjacency says {_said(privacy.adjacency)}; the claim was computed under {_said(used)}.")
    claimed = privacy.claimed_epsilon
    if claimed is None or spec is None or epsilon is None or spec.change is not Adjacency.REPLACE_ONE:
        return None
    if epsilon.lower <= claimed * (1 + _NEAR) or spec.counts_as is not None or not evidence.claim_is_judged:
        return None
    other = _epsilon(spec.model_copy(update={"adjacency": Adjacency.ADD_OR_REMOVE}))
    if other is not None and abs(other - claimed) <= max(_NEAR * claimed, 5e-3):
        return Fires(
            f"The claimed epsilon {claimed:g} is the add-or-remove figure ({other:.3g}); under replace-one it is at "
            f"least {epsilon.lower:.4g}."
        )
    return None


def large_local_epsilon(evidence: Evidence) -> Fires | Unknown | None:
    """DP16."""
    if evidence.privacy.mechanism != "local":
        return None
    if evidence.epsilon is None or evidence.spec is None:
        return UNKNOWN
    if evidence.epsilon.upper <= 8:
        return None
    profile = loss_profile(evidence.spec) if math.isfinite(evidence.epsilon.upper) else None
    cap = profile.tpr(0.01) if profile else 1.0
    return Fires(
        f"Epsilon is {evidence.epsilon.upper:.4g} for one client; at 1 % false positives the noise lets an attack "
        f"find up to {100 * cap:.1f} % of members."
    )


def estimate_as_bound(evidence: Evidence) -> Fires | Unknown | None:
    """DP18."""
    names = {"gdp_clt": "the central limit approximation", "prv_estimate": "PRV's point estimate"}
    used = evidence.privacy.practice.accountant
    if used is None:
        return UNKNOWN
    return Fires(f"The claimed figure comes from {names[used]}, which is no bound.") if used in names else None


def inconsistent_steps(evidence: Evidence) -> Fires | Unknown | None:
    """DP19."""
    override, spec = evidence.privacy.override, evidence.spec
    taken = evidence.observed.steps if evidence.observed else None
    if evidence.privacy.mechanism == "none":
        return None
    if spec is None:
        return UNKNOWN
    if taken is not None and taken > spec.steps:
        return Fires(f"{taken} noisy steps were taken; {spec.steps} are accounted.")
    if override and override.steps and override.steps < evidence.federation.rounds:
        return Fires(
            f"privacy.override.steps is {override.steps}, fewer than the {evidence.federation.rounds} rounds, and "
            "every round releases a model."
        )
    if override and override.sampling_rate and override.records and evidence.privacy.mechanism == "dp_sgd":
        batch = override.sampling_rate * override.records / evidence.federation.clients
        local = evidence.federation.local.batch_size
        if override.sampling_rate < 1 and not 0.9 <= batch / local <= 1.1:
            return Fires(
                f"Sampling rate {override.sampling_rate:g} of {override.records} records at "
                f"{evidence.federation.clients} clients means batches of {batch:.3g}; "
                f"federation.local.batch_size is {local}."
            )
    return None


def rounded_down(evidence: Evidence) -> Fires | Unknown | None:
    """DP20: the claim is the real epsilon, rounded down to the digits it is written with.

    Where the claim itself is not judged, nobody knows what it was rounded from.
    """
    if evidence.privacy.practice.claims_anonymous:
        return Fires("The documents call the result “anonymous”; epsilon does not say so.")
    claimed, epsilon = evidence.privacy.claimed_epsilon, evidence.epsilon
    if claimed is None or epsilon is None:
        return UNKNOWN if evidence.privacy.practice.claims_anonymous is None else None
    if not evidence.claim_is_judged:
        return UNKNOWN
    digits = len(f"{claimed!r}".split(".")[1]) if "." in f"{claimed!r}" and claimed % 1 else 0
    unit = 10.0**-digits
    if claimed < epsilon.lower < claimed + unit:
        return Fires(f"The claimed epsilon {claimed:g} is rounded down from {epsilon.lower:.6g}.")
    return None


def other_releases(evidence: Evidence) -> Fires | Unknown | None:
    """DP21."""
    others = evidence.privacy.practice.other_models
    if others is None:
        return UNKNOWN
    runs = evidence.privacy.override.tuning_runs if evidence.privacy.override else None
    if others > 0 and (runs or 1) <= others:
        return Fires(f"{others} other model(s) or release(s) use the same people and are not composed with this one.")
    return None


def accountant_out_of_range(evidence: Evidence) -> Fires | Unknown | None:
    """DP22."""
    used, spec, epsilon = evidence.privacy.practice.accountant, evidence.spec, evidence.epsilon
    if used is None or spec is None or epsilon is None:
        return UNKNOWN
    if used not in ("pld", "prv", "opacus_prv"):
        return None
    if spec.delta < 1e-10:
        return Fires(f"At delta {spec.delta:g} {used} has reported values below the truth; its floor is about 1e-10.")
    if epsilon.upper < 0.05 and spec.steps >= 100:
        return Fires(f"At epsilon {epsilon.upper:.3g} the default grid of {used} is wider than the losses it sums.")
    if spec.steps >= 1_000_000:
        return Fires(f"{spec.steps} steps are beyond the range in which {used} is checked.")
    return None


def _shortened(spec: PrivacySpec, steps: int) -> PrivacySpec:
    first: Phase = spec.phases[0]
    return spec.model_copy(
        update={"phases": (first.model_copy(update={"steps": steps}),), "seen_rate": 1.0, "tuning_runs": 1}
    )


def _epsilon(spec: PrivacySpec) -> float | None:
    try:
        return account(spec, QUICK).upper
    except Refused:
        return None
