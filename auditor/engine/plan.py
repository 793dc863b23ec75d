"""Every scenario, attack and model state as run, not applicable because, or not run because."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from auditor.attacks.base import Attack, AttackParams, Cost
from auditor.attacks.registry import AttackEntry, available
from auditor.config.document import AuditDocument
from auditor.config.load import load_scenario
from auditor.config.scenario import Scenario
from auditor.config.settings import BudgetSettings, FederationSettings, SweepSettings
from auditor.core.canonical import digest
from auditor.core.grants import Grant
from auditor.core.measurement import OutcomeStatus
from auditor.core.shape import ModelState, TargetShape
from auditor.engine.audits import PlannedAudit, plan_audits
from auditor.engine.memory import model_bytes
from auditor.engine.paths import BLOCK
from auditor.engine.probe import Speed
from auditor.engine.selection import attack_parameters, chosen_attacks, require_installed
from auditor.engine.sweeps import MODEL_ATTACK, Variant, variants_of
from auditor.engine.views import GAMES, RELEASED, TRAININGS
from auditor.learning.choice import STACK
from auditor.observations.model import Preprocessing
from auditor.observations.released import (
    Aggregate,
    Checkpoints,
    ClientUpdate,
    LabelOracle,
    MaskedRecords,
    Queries,
    Rounds,
    StolenCheckpoint,
    SummedRounds,
    Weights,
)
from auditor.policy.protocol import protocol, protocol_digest
from auditor.simulation.grants import EffectiveGrants, effective_grants
from auditor.targets.sizes import federation_sizes
from auditor.targets.target import Target

RUN = "run"
FEW_UPDATES = 8
"""Updates that a costly attack is tried on at most, unless ``budget.updates`` says otherwise."""

LEAST_UPDATES = 6
"""Updates that a costly attack is tried on at least: intervals over fewer clusters tell little."""

SOME_RECORDS = 64
"""Records behind the updates that a costly attack is tried on: with none recovered, the 95 % interval ends at 6 %."""

MANY_RECORDS = 128
"""Records behind the updates that a cheap attack is tried on: with none recovered, the 95 % interval ends at 3 %."""

CONTROL = "single-record"
"""Scenario that is added wherever reconstruction is attempted."""

CONTROL_UPDATES = 4
"""Single records that a costly attack is tried on in the control."""

CHEAP = 64
"""Gradient evaluations of one update, or queries a record, up to which an attack counts as cheap."""

_UPDATE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class PlannedAttack:
    """One attack in one scenario at one model state.

    Attributes:
        status: ``run``, or an :class:`OutcomeStatus` other than measured.
        view: What it reads, as in ``_VIEWS``; empty where it does not run.
        updates: Observations to attack.
        references: Reference models that it reads.
        seconds: Estimated, without the reference models, which attacks share; None where it does not run.
        cheap: Runs before the costly attacks.
        bytes: What it holds at once beyond model and records, where it declares that.
        control: Says whether the attack works at all, nothing about the target.
        what_if: Belongs to a sweep: says nothing about the audited settings.
    """

    scenario: str
    attack: str
    state: ModelState | None
    status: str
    reasons: tuple[str, ...] = ()
    view: str = ""
    updates: int = 0
    references: int = 0
    seconds: float | None = None
    cheap: bool = False
    bytes: int = 0
    control: bool = False
    what_if: bool = False

    @property
    def key(self) -> str:
        """``scenario:attack@state``, as in :class:`auditor.core.measurement.Outcome`."""
        return f"{self.scenario}:{self.attack}" + (f"@{self.state}" if self.state else "")

    @property
    def runs(self) -> bool:
        return self.status == RUN


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Attributes:
        protocol_sha256: Digest of adversaries, parameters, limits and what was declared, fixed before the run.
        adversaries_sha256: The same without what was declared: runs that share it can be compared.
        grants: Scenario name to what its adversary really gets in this federation.
        parameters: Attack name to its parameters.
        reference_models: Trained once, shared by all attacks.
        reference_seconds, training_seconds: Estimated, for each model.
        variants: The adversaries of the sweeps.
        audits: Of epsilon, with canaries.
        watching_seconds: Estimated, for trainings that are played again to be watched.
        trainings: Of the audited model, the first one included; attacks on the released model are done on each.
        training_bytes: What a worker holds to train a stack of models, or to attack if that is more, without
            activations and torch itself.
        protocol: What the digest is of.
    """

    attacks: tuple[PlannedAttack, ...]
    scenarios: tuple[Scenario, ...]
    grants: Mapping[str, EffectiveGrants]
    parameters: Mapping[str, AttackParams]
    protocol_sha256: str
    reference_models: int
    reference_seconds: float
    training_seconds: float
    variants: tuple[Variant, ...] = ()
    audits: tuple[PlannedAudit, ...] = ()
    watching_seconds: float = 0.0
    training_bytes: int = 0
    protocol: Mapping[str, Any] = field(default_factory=dict)
    trainings: int = 1
    adversaries_sha256: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many attack runs are planned, do not apply and are not run; values of sweeps are no runs of the audit."""
        rows = [row for row in self.attacks if not row.what_if]
        ends = (OutcomeStatus.NOT_APPLICABLE, OutcomeStatus.NOT_RUN)
        return {
            "planned": sum(row.runs for row in rows),
            **{str(end): sum(row.status == end for row in rows) for end in ends},
        }

    @property
    def replicated(self) -> tuple[PlannedAttack, ...]:
        """The attacks that are done on every training."""
        rows = (row for row in self.attacks if row.runs and not row.what_if and not row.control)
        return tuple(row for row in rows if row.view in RELEASED) if self.trainings > 1 else ()

    @property
    def further_seconds(self) -> float:
        """Estimate of all trainings but the first, attacked."""
        each = self.training_seconds + sum(row.seconds or 0.0 for row in self.replicated)
        return (self.trainings - 1) * each

    @property
    def played(self) -> tuple[Scenario, ...]:
        """Every scenario that attacks, the ones of sweeps included."""
        return (*self.scenarios, *(variant.scenario for variant in self.variants))

    @property
    def seconds(self) -> float:
        """Estimate of the whole run on one worker."""
        attacks = sum(planned.seconds or 0.0 for planned in self.attacks)
        attacks += self.further_seconds + self.watching_seconds + sum(audit.seconds for audit in self.audits)
        return self.training_seconds + self.reference_models * self.reference_seconds + attacks

    def to_json(self) -> dict[str, Any]:
        """The content of ``plan.json``."""
        return {
            "protocol_sha256": self.protocol_sha256,
            "protocol": dict(self.protocol),
            "counts": self.counts,
            "estimated_seconds": round(self.seconds, 1),
            "training_seconds": round(self.training_seconds, 2),
            "watching_seconds": round(self.watching_seconds, 2),
            "training_bytes": self.training_bytes,
            "trainings": self.trainings,
            "reference_models": self.reference_models,
            "reference_seconds": round(self.reference_seconds, 2),
            "withheld": {
                name: {grant.value: why for grant, why in sorted(found.withheld.items())}
                for name, found in self.grants.items()
            },
            "attacks": [asdict(planned) for planned in self.attacks],
            "epsilon_audits": [audit.to_json() for audit in self.audits],
        }


def make_plan(document: AuditDocument, target: Target, *, speed: Speed) -> Plan:
    """Plan an audit.

    Raises:
        SettingsError: where scenarios, attacks or parameters of the audit do not exist.
    """
    settings = document.settings
    scenarios = tuple(load_scenario(name, relative_to=document.folder) for name in dict.fromkeys(settings.scenarios))
    installed = available()
    parameters = attack_parameters(document, installed)
    grants: dict[str, EffectiveGrants] = {}
    rows: list[PlannedAttack] = []

    def plan(scenario: Scenario, names: Sequence[str]) -> list[PlannedAttack]:
        planner = _planner(document, target, scenario, speed=speed, installed=installed, parameters=parameters)
        found = effective_grants(scenario.grants, planner.federation, scenario.privacy_of(settings.privacy))
        grants[scenario.name] = found
        return [row for name in names for row in planner.rows(scenario, name, found)]

    for scenario in scenarios:
        rows += plan(scenario, chosen_attacks(document, scenario, installed))
    control = load_scenario(CONTROL, relative_to=document.folder)
    if control.name not in grants and (controls := [r for r in plan(control, _to_control(rows, installed)) if r.runs]):
        scenarios = (*scenarios, control)
        rows += controls
    for sweep in settings.sweeps:
        require_installed(document, sweep.attacks, installed, setting="sweeps")
    variants = variants_of(document)
    what_if = [row for variant in variants for row in _what_if(plan, variant, settings.sweeps[variant.sweep], rows)]
    used = {row.attack: parameters[row.attack] for row in rows if row.attack in parameters}
    training = speed.training_seconds(settings.federation, shape=target.model.shape)
    watched = len({(row.scenario, row.view) for row in (*rows, *what_if) if row.runs and row.view in TRAININGS})
    fixed = protocol(scenarios, used, settings=settings.model_dump(mode="json"))
    return Plan(
        attacks=(*rows, *what_if),
        scenarios=scenarios,
        grants=grants,
        parameters=parameters,
        protocol_sha256=digest(fixed),
        adversaries_sha256=protocol_digest(scenarios, used),
        protocol=fixed,
        reference_models=max((row.references for row in rows if row.runs), default=0),
        reference_seconds=training,
        training_seconds=training if target.weights is None else 0.0,
        variants=variants,
        audits=plan_audits(settings, target),
        training_bytes=max(
            model_bytes(target.model.shape, models=min(STACK, BLOCK * settings.federation.clients)),
            *(row.bytes for row in (*rows, *what_if)),
        ),
        trainings=settings.trainings,
        watching_seconds=watched * speed.watching_seconds(settings.federation, shape=target.model.shape),
    )


def _what_if(
    plan: Callable[[Scenario, Sequence[str]], list[PlannedAttack]],
    variant: Variant,
    sweep: SweepSettings,
    rows: Sequence[PlannedAttack],
) -> list[PlannedAttack]:
    """The attacks at one value of a sweep; what the audit itself does at its own value is not done again."""
    done = {row.attack for row in rows if variant.declared and row.scenario == variant.base.name}
    found = plan(variant.scenario, [name for name in dict.fromkeys(sweep.attacks) if name not in done])
    return [
        replace(row, what_if=True)
        if not row.runs or row.view in (*_UPDATES, *TRAININGS)
        else PlannedAttack(row.scenario, row.attack, None, OutcomeStatus.NOT_APPLICABLE, (MODEL_ATTACK,), what_if=True)
        for row in found
    ]


def _planner(
    document: AuditDocument,
    target: Target,
    scenario: Scenario,
    *,
    speed: Speed,
    installed: Mapping[str, AttackEntry],
    parameters: Mapping[str, AttackParams],
) -> "_Planner":
    """A planner for the federation that the scenario plays."""
    federation = scenario.federation_of(document.settings.federation)
    shape = target.model.shape.model_copy(
        update={
            **federation_sizes(federation, len(target.members)),
            "traits": target.model.shape.traits | _traits(federation, target.model.preprocessing),
        }
    )
    target_settings = document.settings.target
    guessed = target_settings.weights is not None and None in (
        target_settings.data.members,
        target_settings.data.nonmembers,
    )
    return _Planner(document.settings.budget, federation, shape, speed, installed, parameters, guessed)


def _traits(federation: FederationSettings, known: Preprocessing) -> frozenset[str]:
    """What attacks ask for beyond the model: columns of categories, and cohorts that tell clients apart."""
    found = set()
    if any(column.kind == "categorical" for column in known.columns):
        found.add("categorical_column")
    if federation.participation.scheme != "full" and federation.rounds >= federation.clients:
        found.add("changing_cohorts")
    return frozenset(found)


def _to_control(rows: Sequence[PlannedAttack], installed: Mapping[str, AttackEntry]) -> list[str]:
    """Planned attacks that rebuild records; where one does not run, the control shows whether size protects."""
    known = [(name, installed[name].attack) for name in dict.fromkeys(row.attack for row in rows) if name in installed]
    return [name for name, attack in known if attack is not None and attack.attack_class == "reconstruction"]


@dataclass(frozen=True)
class _Planner:
    budget: BudgetSettings
    federation: FederationSettings
    shape: TargetShape
    speed: Speed
    installed: Mapping[str, AttackEntry]
    parameters: Mapping[str, AttackParams]
    guessed: bool

    def rows(self, adversary: Scenario, name: str, grants: EffectiveGrants) -> list[PlannedAttack]:
        """One row for each model state, or one that says why there is none."""
        scenario = adversary.name
        entry = self.installed.get(name)
        if entry is None or entry.attack is None:
            why = f"cannot be imported: {entry.error}" if entry else "is not installed"
            return [PlannedAttack(scenario, name, None, OutcomeStatus.NOT_RUN, (why,))]
        attack = entry.attack(self.parameters[name])
        view = _view(attack, grants.granted)
        shape = self._behind(view)
        reasons = [*_unmet(attack, scenario, grants, shape), *attack.unmet(shape)]
        reasons += _unanswerable(attack, view, shape, guessed=self.guessed)
        if not view and not reasons:
            seen = " or ".join(sorted(kind.__name__ for kind in attack.observes))
            reasons = [f"reads {seen}; scenario '{scenario}' shows neither"]
        if reasons:
            return [PlannedAttack(scenario, name, None, OutcomeStatus.NOT_APPLICABLE, tuple(reasons))]
        if why := self._beyond(attack.cost(shape), shape):
            return [PlannedAttack(scenario, name, None, OutcomeStatus.NOT_RUN, (why,), control=adversary.control)]
        states = tuple(ModelState) if view in _UPDATES else (ModelState.TRAINED,)
        return [self._row(scenario, attack, state, view, control=adversary.control) for state in states]

    def _row(self, scenario: str, attack: Attack, state: ModelState, view: str, *, control: bool) -> PlannedAttack:
        shape = self._behind(view)
        cost = attack.cost(shape)
        updates = self._updates(cost, view) if view in _UPDATES else 1
        if control:
            updates = min(updates, CONTROL_UPDATES)
        # Figures about each round are taken while a training is watched; what reads them takes next to no time.
        seconds = 0.0 if view == "rounds" else updates * self.speed.attack_seconds(cost, shape=shape)
        return PlannedAttack(
            scenario,
            attack.name,
            state,
            RUN,
            view=view,
            updates=updates,
            references=cost.reference_models,
            seconds=seconds,
            cheap=view in TRAININGS or max(cost.passes(shape.records_per_update), cost.queries) <= CHEAP,
            bytes=cost.bytes,
            control=control,
        )

    def _beyond(self, cost: Cost, shape: TargetShape) -> str:
        """Why the attack is not begun: what it needs at least for one update exceeds the whole budget."""
        needed = self.speed.attack_seconds(Cost(gradient_evaluations=cost.least), shape=shape) / 60
        if needed <= self.budget.minutes:
            return ""
        return (
            f"not within the budget: one update takes at least {needed:.0f} minutes here, and budget.minutes is "
            f"{self.budget.minutes:g}; a part of the search would find nothing"
        )

    def _behind(self, view: str) -> TargetShape:
        """The shape as an adversary with this view meets it: all records of a round stand behind a sum."""
        if view != "aggregate":
            return self.shape
        together = self.shape.records_per_update * max(1, self.shape.aggregated_clients)
        return self.shape.model_copy(update={"records_per_update": together})

    def _updates(self, cost: Cost, view: str) -> int:
        """Enough updates for a narrow interval where they cost little; the rule does not depend on the machine.

        Where an update holds all records of its clients, no client is seen twice: repeats would count a record as
        several.
        """
        if view == "sums":
            return 1  # one log, which asks about several clients
        clients = max(1, self.shape.aggregated_clients) if view == "aggregate" else 1
        whole = self.federation.algorithm != "fedsgd"
        distinct = max(1, self.federation.clients // clients) if whole else MANY_RECORDS
        if self.budget.updates is not None:
            return min(self.budget.updates, distinct)
        behind = max(1, self.shape.records_per_update * clients)
        if cost.passes(behind) > CHEAP:
            return min(max(LEAST_UPDATES, min(-(-SOME_RECORDS // behind), FEW_UPDATES)), distinct)
        wanted = -(-MANY_RECORDS // behind)
        fits = _UPDATE_BYTES // (4 * max(1, self.shape.parameters))
        return min(max(FEW_UPDATES, min(wanted, fits)), distinct)


_UPDATES = ("client", "aggregate", "part", "sums", "checkpoint")
_VIEWS = (
    ("client", ClientUpdate, Grant.CLIENT_UPDATE),
    ("aggregate", Aggregate, Grant.AGGREGATE_UPDATE),
    ("part", ClientUpdate, Grant.PARTIAL_UPDATE),
    ("sums", SummedRounds, Grant.ALL_ROUNDS),
    ("checkpoint", StolenCheckpoint, Grant.CHECKPOINT),
    ("rounds", Rounds, Grant.ALL_ROUNDS),
    ("checkpoints", Checkpoints, Grant.CHECKPOINT),
    ("queries", Queries, Grant.MODEL_QUERIES),
    ("labels", LabelOracle, Grant.MODEL_QUERIES),
    ("masked", MaskedRecords, Grant.MODEL_QUERIES),
    ("weights", Weights, Grant.MODEL_WEIGHTS),
)


def _view(attack: Attack, granted: frozenset[Grant]) -> str:
    """The most telling observation that the attack reads and the scenario shows."""
    found = (view for view, kind, grant in _VIEWS if kind in attack.observes and grant in granted)
    return next(found, "")


def _unanswerable(attack: Attack, view: str, shape: TargetShape, *, guessed: bool) -> list[str]:
    """Reasons from the sample data.

    Args:
        guessed: Weights are given, and nobody said which records trained them: a draw of the tool would call others
            members, and the attack would find nothing.
    """
    reasons = []
    if guessed and view in GAMES - TRAININGS:
        reasons.append("needs to know which records trained target.weights; name target.data.members and nonmembers")
    if view in GAMES and not (shape.members and shape.nonmembers):
        reasons.append("needs records that trained the model and records that did not; target.data has no such splits")
    if Grant.POPULATION_DATA in attack.needs.grants and not shape.population:
        reasons.append("needs other records of the same kind; target.data has no population split")
    return reasons


def _unmet(attack: Attack, scenario: str, grants: EffectiveGrants, shape: TargetShape) -> list[str]:
    """Reasons from the attack's needs; a grant that the federation withholds says so."""
    reasons = attack.needs.unmet(scenario=scenario, granted=grants.granted, shape=shape)
    asked = attack.needs.grants | (attack.needs.one_of if not attack.needs.one_of & grants.granted else frozenset())
    for grant in sorted(asked & grants.withheld.keys()):
        plain = f"needs an adversary that {grant.words}; scenario"
        reasons = [reason for reason in reasons if not reason.startswith(plain)]
        reasons.append(f"needs an adversary that {grant.words}, which is withheld: {grants.withheld[grant]}")
    return reasons
