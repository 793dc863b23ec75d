"""Every scenario, attack and model state as run, not applicable because, or not run because."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from auditor.attacks.base import Attack, AttackParams, Cost
from auditor.attacks.registry import AttackEntry, available
from auditor.config.document import AuditDocument
from auditor.config.load import load_scenario
from auditor.config.scenario import Scenario
from auditor.config.settings import BudgetSettings, FederationSettings
from auditor.core.grants import Grant
from auditor.core.measurement import OutcomeStatus
from auditor.core.shape import ModelState, TargetShape
from auditor.engine.probe import Speed
from auditor.engine.selection import attack_parameters, chosen_attacks
from auditor.observations.released import Aggregate, ClientUpdate, Queries, Weights
from auditor.policy.protocol import protocol_digest
from auditor.simulation.grants import EffectiveGrants, effective_grants
from auditor.targets.target import Target

RUN = "run"
FEW_UPDATES = 8
"""Updates that a costly attack is tried on unless ``budget.updates`` says otherwise."""

MANY_RECORDS = 128
"""Records behind the updates that a cheap attack is tried on: with none recovered, the 95 % interval ends at 3 %."""

CHEAP = 64
"""Gradient evaluations of one update up to which an attack counts as cheap."""

_UPDATE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class PlannedAttack:
    """One attack in one scenario at one model state.

    Attributes:
        status: ``run``, or an :class:`OutcomeStatus` other than measured.
        view: ``client``, ``aggregate``, ``queries`` or ``weights``; empty where it does not run.
        updates: Observations to attack.
        references: Reference models that it reads.
        seconds: Estimated, without the reference models, which attacks share; None where it does not run.
        cheap: Runs before the costly attacks.
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
        protocol_sha256: Digest of adversaries, parameters and limits, fixed before the run.
        grants: Scenario name to what its adversary really gets in this federation.
        parameters: Attack name to its parameters.
        reference_models: Trained once, shared by all attacks.
        reference_seconds, training_seconds: Estimated, for each model.
    """

    attacks: tuple[PlannedAttack, ...]
    scenarios: tuple[Scenario, ...]
    grants: Mapping[str, EffectiveGrants]
    parameters: Mapping[str, AttackParams]
    protocol_sha256: str
    reference_models: int
    reference_seconds: float
    training_seconds: float

    @property
    def seconds(self) -> float:
        """Estimate of the whole run on one worker."""
        attacks = sum(planned.seconds or 0.0 for planned in self.attacks)
        return self.training_seconds + self.reference_models * self.reference_seconds + attacks

    def to_json(self) -> dict[str, Any]:
        """The content of ``plan.json``."""
        return {
            "protocol_sha256": self.protocol_sha256,
            "estimated_seconds": round(self.seconds, 1),
            "training_seconds": round(self.training_seconds, 2),
            "reference_models": self.reference_models,
            "reference_seconds": round(self.reference_seconds, 2),
            "withheld": {
                name: {grant.value: why for grant, why in sorted(found.withheld.items())}
                for name, found in self.grants.items()
            },
            "attacks": [asdict(planned) for planned in self.attacks],
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
    planner = _Planner(settings.budget, settings.federation, target.model.shape, speed, installed, parameters)
    grants = {s.name: effective_grants(s.grants, settings.federation, settings.privacy) for s in scenarios}
    rows = [
        row
        for scenario in scenarios
        for name in chosen_attacks(document, scenario, installed)
        for row in planner.rows(scenario.name, name, grants[scenario.name])
    ]
    used = {row.attack: planner.parameters[row.attack] for row in rows if row.attack in planner.parameters}
    training = speed.training_seconds(settings.federation, shape=target.model.shape)
    return Plan(
        attacks=tuple(rows),
        scenarios=scenarios,
        grants=grants,
        parameters=planner.parameters,
        protocol_sha256=protocol_digest(scenarios, used),
        reference_models=max((row.references for row in rows if row.runs), default=0),
        reference_seconds=training,
        training_seconds=training if target.weights is None else 0.0,
    )


@dataclass(frozen=True)
class _Planner:
    budget: BudgetSettings
    federation: FederationSettings
    shape: TargetShape
    speed: Speed
    installed: Mapping[str, AttackEntry]
    parameters: Mapping[str, AttackParams]

    def rows(self, scenario: str, name: str, grants: EffectiveGrants) -> list[PlannedAttack]:
        """One row for each model state, or one that says why there is none."""
        entry = self.installed.get(name)
        if entry is None or entry.attack is None:
            why = f"cannot be imported: {entry.error}" if entry else "is not installed"
            return [PlannedAttack(scenario, name, None, OutcomeStatus.NOT_RUN, (why,))]
        attack = entry.attack(self.parameters[name])
        reasons = [*_unmet(attack, scenario, grants, self.shape), *attack.unmet(self.shape)]
        view = _view(attack, grants.granted)
        reasons += _unanswerable(attack, view, self.shape)
        if not view and not reasons:
            seen = " or ".join(sorted(kind.__name__ for kind in attack.observes))
            reasons = [f"reads {seen}; scenario '{scenario}' shows neither"]
        if reasons:
            return [PlannedAttack(scenario, name, None, OutcomeStatus.NOT_APPLICABLE, tuple(reasons))]
        states = tuple(ModelState) if view in _UPDATES else (ModelState.TRAINED,)
        return [self._row(scenario, attack, state, view) for state in states]

    def _row(self, scenario: str, attack: Attack, state: ModelState, view: str) -> PlannedAttack:
        cost = attack.cost(self.shape)
        updates = self._updates(cost, view) if view in _UPDATES else 1
        seconds = updates * self.speed.attack_seconds(cost, shape=self.shape)
        return PlannedAttack(
            scenario,
            attack.name,
            state,
            RUN,
            view=view,
            updates=updates,
            references=cost.reference_models,
            seconds=seconds,
            cheap=cost.gradient_evaluations <= CHEAP,
        )

    def _updates(self, cost: Cost, view: str) -> int:
        """Enough updates for a narrow interval where they cost little; the rule does not depend on the machine.

        Where an update holds all records of its clients, no client is seen twice: repeats would count a record as
        several.
        """
        clients = max(1, self.shape.aggregated_clients) if view == "aggregate" else 1
        whole = self.federation.algorithm != "fedsgd"
        distinct = max(1, self.federation.clients // clients) if whole else MANY_RECORDS
        if self.budget.updates is not None:
            return min(self.budget.updates, distinct)
        if cost.gradient_evaluations > CHEAP:
            return min(FEW_UPDATES, distinct)
        wanted = -(-MANY_RECORDS // max(1, self.shape.records_per_update * clients))
        fits = _UPDATE_BYTES // (4 * max(1, self.shape.parameters))
        return min(max(FEW_UPDATES, min(wanted, fits)), distinct)


_UPDATES = ("client", "aggregate")
_VIEWS = (
    ("client", ClientUpdate, Grant.CLIENT_UPDATE),
    ("aggregate", Aggregate, Grant.AGGREGATE_UPDATE),
    ("queries", Queries, Grant.MODEL_QUERIES),
    ("weights", Weights, Grant.MODEL_WEIGHTS),
)


def _view(attack: Attack, granted: frozenset[Grant]) -> str:
    """The most telling observation that the attack reads and the scenario shows."""
    found = (view for view, kind, grant in _VIEWS if kind in attack.observes and grant in granted)
    return next(found, "")


def _unanswerable(attack: Attack, view: str, shape: TargetShape) -> list[str]:
    """Reasons from the sample data."""
    reasons = []
    if view == "queries" and not (shape.members and shape.nonmembers):
        reasons.append("needs records that trained the model and records that did not; target.data has no such splits")
    if Grant.POPULATION_DATA in attack.needs.grants and not shape.population:
        reasons.append("needs other records of the same kind; target.data has no population split")
    return reasons


def _unmet(attack: Attack, scenario: str, grants: EffectiveGrants, shape: TargetShape) -> list[str]:
    """Reasons from the attack's needs; a grant that the federation withholds says so."""
    reasons = attack.needs.unmet(scenario=scenario, granted=grants.granted, shape=shape)
    asked = attack.needs.grants | (attack.needs.one_of if not attack.needs.one_of & grants.granted else frozenset())
    for grant in sorted(asked & grants.withheld.keys()):
        plain = f"needs {grant.value}; scenario"
        reasons = [reason for reason in reasons if not reason.startswith(plain)]
        reasons.append(f"needs {grant.value}, which is withheld: {grants.withheld[grant]}")
    return reasons
