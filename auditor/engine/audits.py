"""Audits of epsilon as units of a run: planned where privacy is promised, played, put beside the account."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from auditor.accounting.caps import GaussianProfile, loss_profile
from auditor.accounting.silos import Worst, worst_silo
from auditor.accounting.spec import Adjacency, PrivacySpec, Refused, Sampler
from auditor.auditing.declared import declared_curve, p_value
from auditor.auditing.estimates import gaussian_fit, one_shot_estimate
from auditor.auditing.game import LEVEL, EpsilonBound, Floats, correctness
from auditor.auditing.mechanism import Played, Setup, play, play_code, setup_of
from auditor.auditing.one_shot import play_clients
from auditor.auditing.relabelled import play_labels
from auditor.auditing.trade_off import approximate_bound, gaussian_bound
from auditor.auditing.weighted import NORMAL, price, weighted_bound
from auditor.config.settings import AuditSettings, FederationSettings, ParticipationSettings, PrivacySettings
from auditor.core.errors import AuditorError
from auditor.core.measurement import OutcomeStatus
from auditor.core.privacy import STATEMENTS, AccountingReport, EpsilonAudit, EpsilonEstimate, EpsilonLowerBound
from auditor.core.seeds import derive_seed
from auditor.core.shape import Task
from auditor.engine.packing import pack, unpack
from auditor.engine.practice import silo_sizes
from auditor.engine.units import AUDITED, Unit, UnitKind, unit_seed
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
MOST_TRAINING = 10_000
"""Local steps of all clients up to which the model is trained once more, to audit it as a whole."""
MOST_PARAMETERS = 2_000_000
_RELABELLED = 0.2
"""Share of the relabelled records that is guessed."""
_SHARES = ((3.0, 0.1), (10.0, 0.2), (math.inf, 0.4))
"""Accounted epsilon below which this share of canaries is guessed: few where single guesses say little."""
_SAMPLED = ((3.0, 0.02), (6.0, 0.04), (8.0, 0.08), (12.0, 0.16), (math.inf, 0.32))
"""The same where units are sampled: only a few canaries were drawn often enough to be told."""

_TITLES = {
    "mechanism": "The mechanism as simulated, played with canaries",
    "code": "Your own private step, played with canaries",
    "labels": "The model itself, trained with labels that coins made wrong",
    "clients": "The model itself, trained with canary clients",
}

CANARY_CLIENTS = 1000
"""Added to a training at most: as many as the paper has."""

_ONE_SHOT = (
    "Cosines of canary clients with the final model (Andrew et al., 2023, arXiv:2302.03098, algorithm 1); rests on "
    "Gaussian noise and many parameters; an estimate, not a bound"
)


@dataclass(frozen=True)
class PlannedAudit:
    """One audit of epsilon.

    Attributes:
        name: ``mechanism``, ``code``, ``labels`` or ``clients``.
        status: ``run``, or an :class:`OutcomeStatus` other than measured.
        games: How often it is played; every canary is in one game alone.
        seconds: Estimated, all games.
        code_sha256: Of the user's own step.
        relabelled: Records whose label a coin decides, where the model itself is trained.
        added: Canary clients that are added to the federation, where the model itself is trained with them.
        spec: What is accounted for, of the silo that is played.
    """

    name: str
    status: str
    reason: str = ""
    setup: Setup | None = None
    spec: PrivacySpec | None = None
    games: int = 0
    seconds: float = 0.0
    code_sha256: str = ""
    relabelled: int = 0
    added: int = 0

    @property
    def runs(self) -> bool:
        return self.status == RUN

    @property
    def canaries(self) -> int:
        """In all games."""
        return self.games * self.setup.canaries if self.setup else self.relabelled or self.added

    def to_json(self) -> dict[str, Any]:
        """For ``plan.json``."""
        facts = {"name": self.name, "status": self.status, "reason": self.reason, "canaries": self.canaries}
        return {**facts, "games": self.games, "seconds": round(self.seconds, 1)}


def plan_audits(settings: AuditSettings, target: Target) -> tuple[PlannedAudit, ...]:
    """Where a mechanism is declared: the mechanism (or the user's own step), and the training as a whole."""
    privacy, wanted = settings.privacy, settings.epsilon_audit
    if privacy.mechanism == "none" or not wanted.enabled:
        return ()
    name = "code" if wanted.code else "mechanism"
    try:
        worst = _worst(settings, target)
        setup = _setup(settings, worst, records=len(target.members))
    except AuditorError as error:
        return (PlannedAudit(name, OutcomeStatus.NOT_APPLICABLE, str(error)),)
    if worst.spec.noiseless:
        return (PlannedAudit(name, OutcomeStatus.NOT_APPLICABLE, "no noise is declared, so nothing is promised"),)
    each = _seconds(setup, name)
    games = _games(wanted.canaries, setup, each)
    digest = target.private_step.sha256() if target.private_step else ""
    planned = PlannedAudit(
        name, RUN, setup=setup, spec=worst.spec, games=games, seconds=games * each, code_sha256=digest
    )
    return (planned, *_labels(settings, target), *_clients(settings, target))


def _labels(settings: AuditSettings, target: Target) -> tuple[PlannedAudit, ...]:
    """The audit of a training with labels by coins, where records are protected and a training costs little."""
    shape, federation = target.model.shape, settings.federation
    if settings.privacy.mechanism != "dp_sgd" or settings.privacy.override or target.weights is not None:
        return ()
    if shape.task != Task.CLASSIFICATION or shape.classes < 2:
        return ()
    who = federation.participation
    taking_part = who.count or federation.clients * (who.rate or 1.0)
    steps = federation.rounds * taking_part * max(1, shape.local_steps)
    if steps > MOST_TRAINING or shape.parameters > MOST_PARAMETERS:
        reason = f"another training of {steps:,.0f} local steps would cost too much"
        return (PlannedAudit("labels", OutcomeStatus.NOT_APPLICABLE, reason),)
    return (PlannedAudit("labels", RUN, games=1, seconds=3e-3 * steps, relabelled=min(GAME, len(target.members))),)


def _clients(settings: AuditSettings, target: Target) -> tuple[PlannedAudit, ...]:
    """The one-shot estimate, where clients are protected and a training with as many canary clients costs little.

    Canaries are at most as many as the clients (or twenty), so that the model still learns, and a tenth of the
    parameters, so that random directions hardly overlap.
    """
    shape, federation, privacy = target.model.shape, settings.federation, settings.privacy
    by_client = privacy.mechanism in ("dp_fedavg", "local", "distributed", "dp_ftrl") and privacy.protects == "client"
    if not by_client or privacy.override or target.weights is not None:
        return ()
    asked = settings.epsilon_audit.canaries or CANARY_CLIENTS
    added = min(CANARY_CLIENTS, asked, max(20, federation.clients), shape.parameters // 10)
    who = federation.participation
    rate = who.rate or (who.count or federation.clients) / federation.clients
    local, sent = federation.rounds * rate * federation.clients * max(1, shape.local_steps), federation.rounds * rate
    if local > MOST_TRAINING or shape.parameters > MOST_PARAMETERS or added < 10:
        why = "too few parameters for canaries" if added < 10 else f"{local:,.0f} more local steps would cost too much"
        return (PlannedAudit("clients", OutcomeStatus.NOT_APPLICABLE, why),)
    seconds = 3e-3 * local + sent * added * (2e-4 + 2e-9 * shape.parameters)
    return (PlannedAudit("clients", RUN, games=1, seconds=seconds, added=added),)


def _worst(settings: AuditSettings, target: Target) -> Worst:
    """The specification of the silo where epsilon is largest: the one that the account speaks of."""
    seed = unit_seed(settings.audit.seed, UnitKind.TRAIN, AUDITED)
    return worst_silo(
        settings.federation,
        settings.privacy,
        records=len(target.members),
        silos=silo_sizes(target, settings.federation, seed=seed),
    )


def _setup(settings: AuditSettings, worst: Worst, *, records: int) -> Setup:
    spec = worst.spec
    federation, records = _as_accounted(settings.federation, settings.privacy, worst, records=records)
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
    federation: FederationSettings, privacy: PrivacySettings, worst: Worst, *, records: int
) -> tuple[FederationSettings, int]:
    """The federation with what ``privacy.override`` replaces: account and game both speak of the deployment.

    Under record-level DP-SGD all clients are as large as the one where epsilon is largest.
    """
    override, spec = privacy.override, worst.spec
    alike = records if worst.held is None else worst.held * federation.clients
    if override is None:
        return federation, alike
    records = override.records or records
    if privacy.mechanism != "dp_sgd":
        changed: dict[str, Any] = {"clients": override.records or federation.clients, "rounds": spec.steps}
        if override.sampling_rate is not None:
            changed["participation"] = ParticipationSettings(scheme="poisson", rate=override.sampling_rate)
        return federation.model_copy(update=changed), records
    if override.steps is None and override.sampling_rate is None:
        return federation, alike
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


def audit_details(planned: PlannedAudit, settings: AuditSettings, game: int) -> dict[str, Any]:
    """What one game follows from."""
    setup = planned.setup
    if setup is None:
        mechanism = {
            "federation": settings.federation.model_dump(mode="json"),
            "privacy": settings.privacy.model_dump(mode="json", exclude={"claimed_epsilon", "override", "practice"}),
        }
        what = {"clients": planned.added} if planned.added else {"relabelled": planned.relabelled}
        return {"game": game, **what, **mechanism}
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
    if "relabelled" in details:
        return _packed(_relabelled(unit, target, device=device))
    if "clients" in details:
        return _packed(_with_clients(unit, target, device=device))
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
    return _packed(played)


def _relabelled(unit: Unit, target: Target, *, device: str) -> Played:
    federation, privacy = _declared(unit)
    return play_labels(
        federation, privacy, target.model, target.members,
        groups=target.member_groups, canaries=unit.details["relabelled"], seed=unit.seed, device=device,
    )  # fmt: skip


def _with_clients(unit: Unit, target: Target, *, device: str) -> Played:
    federation, privacy = _declared(unit)
    scores = play_clients(
        federation, privacy, target.model, target.members,
        groups=target.member_groups, canaries=unit.details["clients"], seed=unit.seed, device=device,
    )  # fmt: skip
    return Played(scores, torch.ones(len(scores), dtype=torch.bool))


def _declared(unit: Unit) -> tuple[FederationSettings, PrivacySettings]:
    """What a unit's details hold of federation and privacy."""
    return (
        FederationSettings.model_validate(unit.details["federation"]),
        PrivacySettings.model_validate(unit.details["privacy"]),
    )


def _packed(played: Played) -> bytes:
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
    games: Sequence[Games], settings: AuditSettings, *, account: AccountingReport
) -> tuple[EpsilonAudit, ...]:
    """Every audit with its bounds. The account looks at no score, so it may fix how many canaries are guessed."""
    return tuple(_judged(one, settings, epsilon=_epsilon_for(one, account)) for one in games)


def _epsilon_for(one: Games, account: AccountingReport) -> EpsilonEstimate | None:
    """The account of the played neighbours: a changed label replaces a record, whatever adjacency was declared."""
    if one.planned.name != "labels" or account.epsilon is None:
        return account.epsilon
    replaced = (e for e in (account.epsilon, *account.alternatives) if e.adjacency == Adjacency.REPLACE_ONE)
    return next((e for e in replaced if e.sampler == account.epsilon.sampler), None)


def _judged(one: Games, settings: AuditSettings, *, epsilon: EpsilonEstimate | None) -> EpsilonAudit:
    planned = one.planned
    blank = EpsilonAudit(
        name=planned.name, title=_TITLES[planned.name], status=planned.status, reason=one.reason or planned.reason
    )
    if planned.status != RUN or not len(one.scores):
        status = OutcomeStatus.FAILED if one.failed else OutcomeStatus.NOT_RUN
        return blank if planned.status != RUN else blank.model_copy(update={"status": status})
    delta = settings.privacy.delta or 0.0
    accounted = epsilon.upper if epsilon is not None and math.isfinite(epsilon.upper) else None
    if planned.added:
        return blank.model_copy(update=_one_shot(one, delta=delta, accounted=accounted))
    share = _share(accounted, _SHARES) if planned.setup else _RELABELLED
    guesses = max(1, round(len(one.scores) * share))
    seed = derive_seed(settings.audit.seed, "epsilon audit", "ties")
    bounds = _bounds(one, delta=delta, accounted=accounted, guesses=guesses, seed=seed)
    curve = _on_curve(one, accounted=accounted, seed=seed)
    if curve is not None and curve.gaussian:
        bounds = [_gaussian(one, delta=delta, guesses=guesses, seed=seed), *bounds]
    return blank.model_copy(
        update={
            "status": OutcomeStatus.MEASURED,
            "canaries": len(one.scores),
            "guesses": bounds[0].guesses,
            "correct": bounds[0].correct,
            "bounds": tuple(map(_lower_bound, bounds)),
            "estimate": gaussian_fit(one.scores, one.included, delta=delta).epsilon,
            "p_value": curve.chance if curve else None,
            "curve_guesses": curve.guesses if curve else 0,
            "curve_correct": curve.correct if curve else 0,
            "level": LEVEL,
            "accounted": accounted,
            "cpu_seconds": round(one.cpu_seconds, 3),
        }
    )


def _one_shot(one: Games, *, delta: float, accounted: float | None) -> dict[str, Any]:
    """An estimate and no bound: nothing proven, so no verdict reads it."""
    return {
        "status": OutcomeStatus.MEASURED,
        "canaries": len(one.scores),
        "estimate": one_shot_estimate(one.scores, parameters=1, delta=delta).epsilon,
        "estimate_method": _ONE_SHOT,
        "level": LEVEL,
        "accounted": accounted,
        "cpu_seconds": round(one.cpu_seconds, 3),
    }


def _share(accounted: float | None, shares: tuple[tuple[float, float], ...]) -> float:
    return next(share for limit, share in shares if (accounted or 0.0) < limit)


_EACH = 1 - (1 - LEVEL) / STATEMENTS
"""The error of a run is shared by its proven statements."""


_CHEAP, _SHOWN = 0.25, 1 / 3
"""Of the error, and of the accounted epsilon: where delta costs at most so much at an epsilon that an audit of this
size usually shows, weighted guesses are the sharper bound."""


def _bounds(one: Games, *, delta: float, accounted: float | None, guesses: int, seed: int) -> list[EpsilonBound]:
    """One bound without an assumption on the curve; which one follows from the account and the number of canaries.

    Weighted guesses pay for delta at once, which costs little for few canaries or a large epsilon; weights fit scores
    that are nearly normal, so neither sampled units nor labels.
    """
    setup = one.planned.setup
    centred = setup is not None and setup.calibrated
    cheap = accounted is not None and price(len(one.scores), delta, _SHOWN * accounted) <= _CHEAP * (1 - _EACH)
    if setup is not None and not centred and cheap:
        return [weighted_bound(one.scores, one.included, delta=delta, levels=NORMAL, level=_EACH, seed=seed)]
    bound = approximate_bound(
        one.scores, one.included, delta=delta, guesses=guesses, level=_EACH, seed=seed, centred=centred
    )
    return [bound]


def _gaussian(one: Games, *, delta: float, guesses: int, seed: int) -> EpsilonBound:
    """Exceeds the account exactly if the declared Gaussian curve is refuted: the same statement, as an epsilon."""
    return gaussian_bound(one.scores, one.included, delta=delta, guesses=guesses, level=_EACH, seed=seed)


class _Curve(NamedTuple):
    """What the declared curve says of the surest guesses."""

    chance: float
    guesses: int
    correct: int
    gaussian: bool


def _on_curve(one: Games, *, accounted: float | None, seed: int) -> _Curve | None:
    setup, spec = one.planned.setup, one.planned.spec
    if accounted is None or setup is None or spec is None:
        return None
    profile = loss_profile(spec)
    if profile is None:
        return None
    share = _share(accounted, _SAMPLED if setup.calibrated else _SHARES)
    canaries = len(one.scores)
    guesses = max(1, round(canaries * share))
    right = correctness(one.scores, one.included, seed=seed, centred=setup.calibrated)[:guesses]
    correct = int(right.sum())
    chance = p_value(declared_curve(profile.tpr), correct, guesses=guesses, canaries=canaries)
    return _Curve(chance, guesses, correct, isinstance(profile, GaussianProfile))


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
