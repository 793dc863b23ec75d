"""Everything the report says about the declared privacy: epsilon, by round, caps, alternatives, misdeclarations."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from auditor.accounting.account import QUICK, Effort, account
from auditor.accounting.caps import attack_caps, gdp_mu, loss_profile
from auditor.accounting.evidence import Evidence, ModelTraits, ObservedMechanism
from auditor.accounting.lints import lint
from auditor.accounting.silos import worst_silo
from auditor.accounting.spec import Adjacency, PrivacySpec, Refused, Sampler
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.privacy import (
    AccountingReport,
    Agreement,
    AttackCaps,
    CapPoint,
    EpsilonEstimate,
    RoundEpsilon,
)

_POINTS = 12


class Blocks(Protocol):
    """Settings with the two blocks that accounting needs."""

    @property
    def federation(self) -> FederationSettings:
        """The federation."""

    @property
    def privacy(self) -> PrivacySettings:
        """The declared mechanism."""


def accounting_report(
    settings: Blocks,
    *,
    positions: Mapping[str, str],
    records: int | None,
    silos: Sequence[int] | None = None,
    model: ModelTraits | None = None,
    observed: ObservedMechanism | None = None,
    effort: Effort | None = None,
    people: int | None = None,
) -> AccountingReport:
    """Account, cap and lint.

    Args:
        settings: Anything with ``federation`` and ``privacy``.
        positions: Setting to its place in the file; put into the lints.
        records: Training records; None where they are unknown.
        silos: Records at each client of the audited data; equal shares when left out.
        model: What a walk over the model found.
        observed: What the simulation really did.
        effort: How hard to try.
        people: Declared people in the deployment, where ``records`` may be a sample of theirs.
    """
    federation, privacy = settings.federation, settings.privacy
    spec, epsilon, reason, held = _epsilon(settings, records, silos, effort)
    profile = loss_profile(spec, effort) if spec and epsilon and math.isfinite(epsilon.upper) else None
    if epsilon is not None and profile is not None:
        epsilon = epsilon.model_copy(update={"mu_gdp": gdp_mu(profile)})
    found = lint(Evidence(federation, privacy, spec, epsilon, records, model, observed, people))
    return AccountingReport(
        epsilon=epsilon,
        reason=reason,
        claimed_epsilon=privacy.claimed_epsilon,
        alternatives=_alternatives(spec) if spec and epsilon and math.isfinite(epsilon.upper) else (),
        by_round=_by_round(federation, privacy, spec, epsilon),
        caps=attack_caps(profile) if profile else _no_caps(epsilon),
        lints=tuple(entry.model_copy(update={"setting": _where(entry.setting, positions)}) for entry in found.lints),
        lints_checked=found.checked,
        spec=_flat(spec) | {"records_in_silo": held} if spec else {},
        silos=tuple(sorted(silos or ())),
    )


class _Answer(NamedTuple):
    spec: PrivacySpec | None
    epsilon: EpsilonEstimate | None
    reason: str = ""
    held: int | None = None


def _epsilon(settings: Blocks, records: int | None, silos: Sequence[int] | None, effort: Effort | None) -> _Answer:
    if settings.privacy.mechanism == "none":
        return _Answer(None, _none(settings.privacy))
    try:
        worst = worst_silo(settings.federation, settings.privacy, records=records, silos=silos)
        epsilon = account(worst.spec, effort)
    except Refused as refusal:
        return _Answer(None, None, str(refusal))
    if worst.note:
        epsilon = epsilon.model_copy(update={"assumptions": (*epsilon.assumptions, worst.note)})
    return _Answer(worst.spec, epsilon, held=worst.held)


def _none(privacy: PrivacySettings) -> EpsilonEstimate:
    """No mechanism: infinite, which is a result and not a failure."""
    return EpsilonEstimate(
        lower=math.inf,
        estimate=math.inf,
        upper=math.inf,
        delta=privacy.delta or 0.0,
        unit=privacy.protects or "record",
        adjacency=privacy.adjacency or "add_or_remove",
        sampler=privacy.sampling or "full",
        agreement=Agreement.AGREED,
        assumptions=("No privacy mechanism is declared, so nothing bounds what the updates reveal.",),
    )


def _no_caps(epsilon: EpsilonEstimate | None) -> AttackCaps | None:
    """Nothing is capped where epsilon is infinite; unknown where there is no epsilon."""
    if epsilon is None or math.isfinite(epsilon.upper):
        return None
    return AttackCaps(roc=(CapPoint(fpr=0.0, tpr=1.0), CapPoint(fpr=1.0, tpr=1.0)), advantage=1.0)


def _alternatives(spec: PrivacySpec) -> tuple[EpsilonEstimate, ...]:
    """The other adjacency, and the Poisson figure where it does not apply."""
    found: list[tuple[PrivacySpec, tuple[str, ...]]] = []
    if spec.counts_as is None:
        other = Adjacency.ADD_OR_REMOVE if spec.change is Adjacency.REPLACE_ONE else Adjacency.REPLACE_ONE
        found.append((spec.model_copy(update={"adjacency": other}), ()))
    if spec.sampler in (Sampler.SHUFFLED, Sampler.FIXED_SIZE):
        poisson = spec.model_copy(update={"sampler": Sampler.POISSON})
        found.append((poisson, ("Not applicable: the code does not sample by Poisson; shown for comparison.",)))
    return tuple(value for spec, warning in found if (value := _quick(spec, warning)) is not None)


def _quick(spec: PrivacySpec, warning: tuple[str, ...]) -> EpsilonEstimate | None:
    try:
        found = account(spec, QUICK)
    except Refused:
        return None
    return found.model_copy(update={"warnings": (*warning, *found.warnings)})


def _by_round(
    federation: FederationSettings,
    privacy: PrivacySettings,
    spec: PrivacySpec | None,
    epsilon: EpsilonEstimate | None,
) -> tuple[RoundEpsilon, ...]:
    """Epsilon after up to a dozen round numbers, evenly spaced in the square root; the last is the whole run."""
    if spec is None or epsilon is None or not math.isfinite(epsilon.upper):
        return ()
    if privacy.override is not None and privacy.override.steps is not None:
        return ()
    total = federation.rounds
    per_round = spec.steps // total
    marks = sorted({max(1, round(total * (k / _POINTS) ** 2)) for k in range(1, _POINTS)} - {total})
    found = []
    for mark in marks:
        phase = spec.phases[0].model_copy(update={"steps": mark * per_round})
        value = account(spec.model_copy(update={"phases": (phase,)}), QUICK)
        found.append(RoundEpsilon(round=mark, lower=value.lower, upper=min(value.upper, epsilon.upper)))
    return (*found, RoundEpsilon(round=total, lower=epsilon.lower, upper=epsilon.upper))


def _where(setting: str, positions: Mapping[str, str]) -> str:
    """``privacy.delta (audit.yaml:20:3)``, with the place of the nearest parent that is written in the file."""
    parts = setting.split(".")
    while parts:
        place = positions.get(".".join(parts))
        if place:
            return f"{setting} ({place})"
        parts.pop()
    return setting


def _flat(spec: PrivacySpec) -> dict[str, str | int | float | bool | None]:
    phase = spec.phases[0]
    return {
        "unit": spec.unit.value,
        "adjacency": spec.adjacency.value,
        "change": spec.change.value,
        "sampler": spec.sampler.value,
        "noise": spec.noise.value,
        "trust": spec.trust.value,
        "noise_multiplier": phase.noise_multiplier,
        "sampling_rate": phase.rate,
        "steps": spec.steps,
        "steps_per_round": spec.steps_per_round,
        "clip": phase.clip,
        "delta": spec.delta,
        "population": spec.population,
        "records_per_unit": spec.records_per_unit,
        "honest_fraction": spec.honest_fraction,
        "seen_rate": spec.seen_rate,
        "tuning_runs": spec.tuning_runs,
        "count_noise": spec.count_noise,
    }
