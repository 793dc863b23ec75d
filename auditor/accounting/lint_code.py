"""Rules about what the code does."""

from auditor.accounting.evidence import Evidence
from auditor.accounting.lint_answers import UNKNOWN, Fires, Unknown

_COVERED = {"model", "model after every round", "final model"}


def _off(evidence: Evidence) -> bool:
    return evidence.privacy.mechanism == "none"


def shuffled_not_poisson(evidence: Evidence) -> Fires | Unknown | None:
    """DP01."""
    if evidence.privacy.sampling != "poisson":
        return UNKNOWN if evidence.privacy.sampling is None else None
    seen = evidence.observed.sampler if evidence.observed else None
    if seen is None:
        return UNKNOWN
    if seen in ("shuffled", "full"):
        return Fires(f"privacy.sampling says poisson; the simulated rounds drew units by {seen} sampling.")
    return None


def cohort_not_poisson(evidence: Evidence) -> Fires | Unknown | None:
    """DP02."""
    privacy, who = evidence.privacy, evidence.federation.participation
    if privacy.sampling is None:
        return UNKNOWN
    if privacy.sampling != "poisson":
        return None
    seen = evidence.observed.sampler if evidence.observed else None
    per_client = privacy.mechanism in ("dp_fedavg", "distributed")
    if per_client and who.scheme == "fixed_size":
        return Fires(f"privacy.sampling says poisson; federation.participation takes exactly {who.count} clients.")
    if seen == "fixed_size":
        return Fires("privacy.sampling says poisson; the simulated rounds drew a fixed number of units.")
    return None


def clip_not_per_unit(evidence: Evidence) -> Fires | Unknown | None:
    """DP06."""
    per, clipping = evidence.privacy.practice.clipping_per, evidence.privacy.clipping
    largest = evidence.observed.largest_norm if evidence.observed else None
    if per in ("batch", "microbatch"):
        return Fires(f"Clipping bounds each {per}, not each protected {evidence.privacy.protects or 'unit'}.")
    if largest is not None and clipping is not None and largest > clipping.norm * (1 + 1e-4):
        return Fires(f"After clipping one contribution has norm {largest:.6g}, above the limit {clipping.norm:g}.")
    return UNKNOWN if per is None and largest is None else None


def noise_too_small(evidence: Evidence) -> Fires | Unknown | None:
    """DP07: four standard errors below what is declared, and at least one percent."""
    seen, privacy = evidence.observed, evidence.privacy
    if seen is None or seen.noise_std is None or privacy.noise_multiplier is None or privacy.clipping is None:
        return UNKNOWN
    declared = privacy.noise_multiplier * privacy.clipping.norm
    error = declared / (2 * max(seen.noise_samples, 1)) ** 0.5
    if seen.noise_std < declared - max(4 * error, 0.01 * declared):
        share = seen.noise_std / declared
        return Fires(
            f"The noise on the sum has standard deviation {seen.noise_std:.4g}, {share:.2g} times the declared "
            f"{declared:.4g} (measured on {seen.noise_samples} coordinates)."
        )
    return None


def private_divisor(evidence: Evidence) -> Fires | Unknown | None:
    """DP08."""
    divisor = evidence.privacy.practice.divisor
    if divisor is None:
        return UNKNOWN
    if divisor == "constant":
        return None
    what = "number of units in the batch" if divisor == "actual_batch" else "number of units in the data"
    return Fires(f"The noisy sum is divided by the {what}, which itself depends on who is in the data.")


def tuning_not_counted(evidence: Evidence) -> Fires | Unknown | None:
    """DP10."""
    tuned = evidence.privacy.practice.tuned_on_private
    if tuned is None:
        return UNKNOWN
    runs = evidence.privacy.override.tuning_runs if evidence.privacy.override else None
    if tuned and not runs:
        return Fires("Settings were chosen on the private data, and privacy.override.tuning_runs is not stated.")
    return None


def quantile_not_counted(evidence: Evidence) -> Fires | Unknown | None:
    """DP11."""
    clipping = evidence.privacy.clipping
    if clipping is not None and clipping.kind == "adaptive" and not clipping.count_noise:
        return Fires("privacy.clipping.kind is adaptive and privacy.clipping.count_noise is zero or not stated.")
    return None


def model_outside(evidence: Evidence) -> Fires | Unknown | None:
    """DP12."""
    traits = evidence.model
    if traits is None:
        return UNKNOWN
    if _off(evidence):
        return None
    found = []
    per_record = evidence.privacy.mechanism == "dp_sgd"
    if traits.cross_example_layers and per_record and evidence.federation.batch_norm == "train":
        found.append(f"layers mix the records of a batch: {_listed(traits.cross_example_layers)}")
    if traits.parameters_outside:
        found.append(f"released without clipping and noise: {_listed(traits.parameters_outside)}")
    return Fires("; ".join(found).capitalize() + ".") if found else None


def private_preprocessing(evidence: Evidence) -> Fires | Unknown | None:
    """DP13."""
    steps = evidence.privacy.practice.private_preprocessing
    if steps is None:
        return UNKNOWN
    return Fires(f"Learned from private data without noise: {_listed(steps)}.") if steps else None


def predictable_noise(evidence: Evidence) -> Fires | Unknown | None:
    """DP14."""
    practice = evidence.privacy.practice
    if practice.secure_random is None and practice.seeds_shared is None:
        return UNKNOWN
    found = []
    if practice.secure_random is False:
        found.append("the noise comes from a generator that can be seeded")
    if practice.seeds_shared:
        found.append("clients share a seed, so their noise is the same")
    return Fires("; ".join(found).capitalize() + ".") if found else None


def uncovered_release(evidence: Evidence) -> Fires | Unknown | None:
    """DP15."""
    releases = evidence.privacy.practice.releases
    if releases is None:
        return UNKNOWN
    beyond = tuple(release for release in releases if release not in _COVERED)
    return Fires(f"Released and not covered by epsilon: {_listed(beyond)}.") if beyond else None


def missing_shares(evidence: Evidence) -> Fires | Unknown | None:
    """DP17."""
    privacy, secure = evidence.privacy, evidence.federation.aggregation.secure
    if privacy.mechanism != "distributed":
        return None
    if not secure.enabled:
        return Fires("Each update carries only a share of the noise, and secure aggregation is switched off.")
    if privacy.override is None or privacy.override.honest_fraction is None:
        return Fires(
            f"A share {secure.dropout:g} of clients drops out, and how many of the others are honest is not stated "
            "(privacy.override.honest_fraction)."
        )
    return None


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
