"""Audits of epsilon as units of a run: planned where privacy is promised, played, put beside the account."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from auditor.accounting.caps import GaussianProfile, loss_profile
from auditor.accounting.from_settings import spec_from_settings
from auditor.accounting.spec import Adjacency, PrivacySpec, Refused, Sampler
from auditor.auditing.declared import declared_curve, p_value
from auditor.auditing.estimates import gaussian_fit
from auditor.auditing.game import LEVEL, EpsilonBound, Floats
from auditor.auditing.mechanism import Setup, play, play_code, setup_of
from auditor.auditing.trade_off import approximate_bound, gaussian_bound
from auditor.config.settings import AuditSettings, FederationSettings, ParticipationSettings, PrivacySettings
from auditor.core.errors import AuditorError
from auditor.core.measurement import OutcomeStatus
from auditor.core.privacy import EpsilonAudit, EpsilonEstimate, EpsilonLowerBound
from auditor.core.seeds import derive_seed
from auditor.engine.packing import pack, unpack
from auditor.engine.units import Unit
from auditor.learning.randomness import seeded
from auditor.store.journal import JournalEntry
from auditor.targets.target import Target

RUN = "run"
CANARIES = 10_000
"""With so many, noise of half its declared size is found at declared epsilons from 0.5 to 8."""

GAME = 1000
"""Canaries of one game: each has a coordinate, so that a game costs their square."""

SECONDS = 10.0
"""What the games may cost by default, in seconds of a slow core."""

MOST_STEPS = 200_000
_SHARES = ((3.0, 0.1), (10.0, 0.2), (math.inf, 0.4))
"""Accounted epsilon below which this share of canaries is guessed: few where single guesses say little."""
_SAMPLED = ((3.0, 0.02), (6.0, 0.04), (8.0, 0.08), (12.0, 0.16), (math.inf, 0.32))
"""The same where units are sampled: only a few canaries were drawn often enough to be told."""

_TITLES = {
    "mechanism": "The mechanism as simulated, played with canaries",
    "code": "Your own private step, played with canaries",
}


@dataclass(frozen=True)
class PlannedAudit:
    """One audit of epsilon.

    Attributes:
        name: ``mechanism`` or ``code``.
        status: ``run``, or an :class:`OutcomeStatus` other than measured.
        games: How often it is played; every canary is in one game alone.
        seconds: Estimated, all games.
        code_sha256: Of the user's own step.
    """

    name: str
    status: str
    reason: str = ""
    setup: Setup | None = None
    games: int = 0
    seconds: float = 0.0
    code_sha256: str = ""

    @property
    def runs(self) -> bool:
        return self.status == RUN

    @property
    def canaries(self) -> int:
        """In all games."""
        return self.games * self.setup.canaries if self.setup else 0

    def to_json(self) -> dict[str, Any]:
        """For ``plan.json``."""
        facts = {"name": self.name, "status": self.status, "reason": self.reason, "canaries": self.canaries}
        return {**facts, "games": self.games, "seconds": round(self.seconds, 1)}


def plan_audits(settings: AuditSettings, target: Target) -> tuple[PlannedAudit, ...]:
    """One audit where a mechanism is declared; none where nothing is promised or the audit is switched off."""
    privacy, wanted = settings.privacy, settings.epsilon_audit
    if privacy.mechanism == "none" or not wanted.enabled:
        return ()
    name = "code" if wanted.code else "mechanism"
    try:
        spec = spec_from_settings(settings.federation, privacy, records=len(target.members))
        setup = _setup(settings, spec, records=len(target.members))
    except AuditorError as error:
        return (PlannedAudit(name, OutcomeStatus.NOT_APPLICABLE, str(error)),)
    if spec.noiseless:
        return (PlannedAudit(name, OutcomeStatus.NOT_APPLICABLE, "no noise is declared, so nothing is promised"),)
    each = _seconds(setup, name)
    games = _games(wanted.canaries, setup, each)
    digest = target.private_step.sha256() if target.private_step else ""
    return (PlannedAudit(name, RUN, setup=setup, games=games, seconds=games * each, code_sha256=digest),)


def _setup(settings: AuditSettings, spec: PrivacySpec, *, records: int) -> Setup:
    federation, records = _as_accounted(settings.federation, settings.privacy, spec, records=records)
    if spec.steps > MOST_STEPS:
        raise Refused(f"One game would take {spec.steps:,} steps; at most {MOST_STEPS:,} are played.")
    asked = settings.epsilon_audit.canaries
    return setup_of(
        federation,
        settings.privacy,
        records=records,
        canaries=GAME if asked is None else min(GAME, asked),
        opposite=spec.change is Adjacency.REPLACE_ONE,
        steps=spec.steps,
        own_code=settings.epsilon_audit.code is not None,
    )


def _as_accounted(
    federation: FederationSettings, privacy: PrivacySettings, spec: PrivacySpec, *, records: int
) -> tuple[FederationSettings, int]:
    """The federation with what ``privacy.override`` replaces: account and game both speak of the deployment."""
    override = privacy.override
    if override is None:
        return federation, records
    records = override.records or records
    if privacy.mechanism != "dp_sgd":
        changed: dict[str, Any] = {"clients": override.records or federation.clients, "rounds": spec.steps}
        if override.sampling_rate is not None:
            changed["participation"] = ParticipationSettings(scheme="poisson", rate=override.sampling_rate)
        return federation.model_copy(update=changed), records
    if override.steps is None and override.sampling_rate is None:
        return federation, records
    if spec.sampler is Sampler.SHUFFLED:
        raise Refused("Steps of shuffled batches that were overridden cannot be played.")
    steps, held = spec.steps, math.ceil(1 / spec.phases[0].rate - 1e-9)
    local = federation.local.model_copy(update={"batch_size": 1})
    changed = {"algorithm": "fedsgd", "clients": 1, "rounds": steps, "local": local}
    if override.steps is not None:
        changed["participation"] = ParticipationSettings()
    return federation.model_copy(update=changed), held


def _seconds(setup: Setup, name: str) -> float:
    """A rough figure that follows from the settings alone: the same number of games on every machine."""
    federation, values = setup.federation, setup.canaries
    if name == "code":
        return setup.steps * (3e-4 + 6e-9 * values * setup.units)
    who = federation.participation
    rate = who.rate or 1.0 if who.scheme == "poisson" else (who.count or federation.clients) / federation.clients
    if setup.privacy.mechanism != "dp_sgd":
        return federation.rounds * rate * setup.units * 1.5e-4
    batch = setup.units if setup.privacy.sampling == "full" else federation.local.batch_size
    return setup.steps * rate * (1e-3 + 3e-8 * values * batch)


def _games(asked: int | None, setup: Setup, each: float) -> int:
    wanted = math.ceil((asked or CANARIES) / setup.canaries)
    return wanted if asked is not None else max(1, min(wanted, int(SECONDS / max(each, 1e-9))))


def audit_details(planned: PlannedAudit, game: int) -> dict[str, Any]:
    """What one game follows from."""
    setup = planned.setup
    assert setup is not None
    return {
        "game": game,
        "federation": setup.federation.model_dump(mode="json"),
        "privacy": setup.privacy.model_dump(mode="json", exclude={"claimed_epsilon", "override", "practice"}),
        "sizes": [setup.units, setup.canaries, setup.steps],
        "opposite": setup.opposite,
        "steps_apart": setup.steps_apart,
        "code_sha256": planned.code_sha256,
    }


def play_unit(unit: Unit, target: Target, *, device: str) -> bytes:
    """One game.

    Raises:
        AuditorError: where the user's own step fails, or the settings cannot be played.
    """
    details = unit.details
    units, canaries, steps = details["sizes"]
    setup = Setup(
        FederationSettings.model_validate(details["federation"]),
        PrivacySettings.model_validate(details["privacy"]),
        units=units,
        canaries=canaries,
        opposite=details["opposite"],
        steps=steps,
        steps_apart=details["steps_apart"],
    )
    if not details["code_sha256"]:
        played = play(setup, seed=unit.seed, device=device)
    else:
        own = target.private_step
        assert own is not None
        function = own.load()
        with seeded(derive_seed(unit.seed, "code"), device=device), own.errors():
            played = play_code(setup, function, seed=unit.seed)
    return pack({"scores": played.scores, "included": played.included}, {"type": "audit"})


@dataclass(frozen=True)
class Games:
    """What was played of one audit.

    Attributes:
        reason: Why there is less than planned, or nothing.
    """

    planned: PlannedAudit
    scores: Floats
    included: np.ndarray[Any, np.dtype[np.bool_]]
    cpu_seconds: float = 0.0
    reason: str = ""
    failed: bool = False


class Finished(Protocol):
    """What a session knows of its units."""

    finished: dict[str, JournalEntry]
    failed: dict[str, str]


def games_of(
    planned: PlannedAudit, units: Sequence[Unit], session: Finished, *, locate: Callable[[str], Path]
) -> Games:
    """Finished games as one: no canary is in two, and games share no randomness, so they are one larger game.

    Which games are finished depends on the time they took, never on their scores.
    """
    done = [unit.key for unit in units if unit.key in session.finished]
    tensors = [unpack(locate(key)).tensors for key in done]
    failed = [session.failed[unit.key] for unit in units if unit.key in session.failed]
    reason = failed[0] if failed else ""
    if not failed and len(done) < len(units):
        reason = f"budget: {len(done)} of {len(units)} games fitted into budget.minutes"
    return Games(
        planned,
        torch.cat([t["scores"] for t in tensors]).numpy() if tensors else np.zeros(0),
        torch.cat([t["included"] for t in tensors]).numpy() if tensors else np.zeros(0, dtype=bool),
        sum(session.finished[key].cpu_seconds for key in done),
        reason,
        bool(failed),
    )


def judged_audits(
    games: Sequence[Games], settings: AuditSettings, *, records: int, epsilon: EpsilonEstimate | None
) -> tuple[EpsilonAudit, ...]:
    """Every audit with its bounds. The account looks at no score, so it may fix how many canaries are guessed."""
    return tuple(_judged(one, settings, records=records, epsilon=epsilon) for one in games)


def _judged(one: Games, settings: AuditSettings, *, records: int, epsilon: EpsilonEstimate | None) -> EpsilonAudit:
    planned = one.planned
    blank = EpsilonAudit(
        name=planned.name, title=_TITLES[planned.name], status=planned.status, reason=one.reason or planned.reason
    )
    if planned.status != RUN or not len(one.scores):
        status = OutcomeStatus.FAILED if one.failed else OutcomeStatus.NOT_RUN
        return blank if planned.status != RUN else blank.model_copy(update={"status": status})
    delta = settings.privacy.delta or 0.0
    accounted = epsilon.upper if epsilon is not None and math.isfinite(epsilon.upper) else None
    assert planned.setup is not None
    guesses = max(1, round(len(one.scores) * _share(accounted, planned.setup)))
    seed = derive_seed(settings.audit.seed, "epsilon audit", "ties")
    bounds, p = _bounds(one, settings, records=records, delta=delta, guesses=guesses, seed=seed, accounted=accounted)
    return blank.model_copy(
        update={
            "status": OutcomeStatus.MEASURED,
            "canaries": len(one.scores),
            "guesses": guesses,
            "correct": bounds[0].correct,
            "bounds": tuple(map(_lower_bound, bounds)),
            "estimate": gaussian_fit(one.scores, one.included, delta=delta).epsilon,
            "p_value": p,
            "level": LEVEL,
            "accounted": accounted,
            "cpu_seconds": round(one.cpu_seconds, 3),
        }
    )


def _share(accounted: float | None, setup: Setup) -> float:
    shares = _SAMPLED if setup.calibrated else _SHARES
    return next(share for limit, share in shares if (accounted or 0.0) < limit)


def _bounds(
    one: Games,
    settings: AuditSettings,
    *,
    records: int,
    delta: float,
    guesses: int,
    seed: int,
    accounted: float | None,
) -> tuple[list[EpsilonBound], float | None]:
    """Half of the error goes to the bound without assumptions, half to the declared curve.

    Where the declared curve is Gaussian, the Gaussian bound exceeds the account exactly if that curve is refuted.
    """
    assert one.planned.setup is not None
    order = {"seed": seed, "centred": one.planned.setup.calibrated}
    common: Mapping[str, Any] = {"delta": delta, "guesses": guesses, "level": 1 - (1 - LEVEL) / 2, **order}
    plain = approximate_bound(one.scores, one.included, **common)
    profile = None
    if accounted is not None:
        spec = spec_from_settings(settings.federation, settings.privacy, records=records)
        profile = loss_profile(spec)
    if profile is None:
        return [plain], None
    chance = p_value(declared_curve(profile.tpr), plain.correct, guesses=guesses, canaries=len(one.scores))
    if not isinstance(profile, GaussianProfile):
        return [plain], chance
    return [gaussian_bound(one.scores, one.included, **common), plain], chance


def _lower_bound(bound: EpsilonBound) -> EpsilonLowerBound:
    return EpsilonLowerBound(
        method=bound.method,
        epsilon=bound.epsilon,
        delta=bound.delta,
        level=bound.level,
        ceiling=bound.ceiling,
        proven=bound.proven,
        assumptions=bound.assumptions,
    )
