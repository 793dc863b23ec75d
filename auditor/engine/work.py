"""From a plan to units of work: what each planned attack reads, in the order in which it can be done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from auditor.attacks.base import AltersModel, AltersTraining
from auditor.attacks.registry import available
from auditor.config.document import AuditDocument
from auditor.config.scenario import Scenario
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.canonical import digest
from auditor.core.grants import Grant
from auditor.core.seeds import derive_seed
from auditor.core.shape import ModelState
from auditor.engine.adversary import Knows
from auditor.engine.audits import RUN, audit_details
from auditor.engine.paths import Paths
from auditor.engine.plan import Plan, PlannedAttack
from auditor.engine.units import AUDITED, Unit, UnitKind, make_unit, unit_seed
from auditor.engine.views import OF_WEIGHTS, TRAININGS
from auditor.targets.target import Target

CHECKPOINTS = 4
"""Stored states of one training: few enough to be left lying about, and the last says most."""


@dataclass(frozen=True)
class Replica:
    """A further training of the audited model, on the same records; see :class:`Work`."""

    train: Unit
    observations: tuple[Unit, ...]
    attacks: Mapping[str, tuple[Unit, ...]]


@dataclass(frozen=True)
class Work:
    """All units of a run.

    Attributes:
        train: The audited model.
        queries: What it answers on candidates and population; also gives its utility.
        observations: The other things released, with :attr:`queries`.
        references: Blocks of reference models, in the order of their indices.
        attacks: Key of a planned attack to its units, one for each observation.
        audits: Name of an audit of epsilon to its games.
        replicas: Further trainings of the audited model.
    """

    train: Unit
    queries: Unit
    observations: tuple[Unit, ...]
    references: tuple[Unit, ...]
    attacks: Mapping[str, tuple[Unit, ...]]
    audits: Mapping[str, tuple[Unit, ...]] = field(default_factory=dict)
    replicas: tuple[Replica, ...] = ()

    @cached_property
    def keys(self) -> frozenset[str]:
        """Keys of all units; attacks of two scenarios may share theirs."""
        attacks = (unit for units in self.attacks.values() for unit in units)
        games = (unit for units in self.audits.values() for unit in units)
        own = (self.train, *self.observations, *self.references, *attacks, *games)
        return frozenset(unit.key for unit in (*own, *self.further))

    @property
    def further(self) -> tuple[Unit, ...]:
        """All units of all replicas."""
        return tuple(
            unit
            for one in self.replicas
            for unit in (one.train, *one.observations, *(unit for units in one.attacks.values() for unit in units))
        )


class Shown(NamedTuple):
    """What is shown to an adversary.

    Attributes:
        view: ``client``, ``aggregate``, ``queries`` or ``weights``.
        observer: ``server`` or ``participant``; empty where it makes no difference.
        grants: What the scenario grants; empty where it makes no difference.
        scenario: Name of a scenario that plays a federation of its own; empty where it plays the user's.
        altered_by: Name of the attack that alters the model which clients receive; empty where none does.
        own: How many clients the adversary has.
    """

    view: str
    state: ModelState
    observer: str = ""
    grants: tuple[str, ...] = ()
    scenario: str = ""
    altered_by: str = ""
    own: int = 0


def target_digest(target: Target, document: AuditDocument) -> str:
    """What names model, weights and data, and how they were read."""
    settings = document.settings.target.model_dump(mode="json")
    return digest(
        {
            "model": target.model_sha256,
            "weights": target.weights_sha256,
            "splits": {split.name: split.sha256 for split in target.splits},
            **({"prior": target.prior.sha256} if target.prior else {}),
            "settings": {name: value for name, value in settings.items() if name not in ("weights", "model")},
        }
    )


def reference_units(work_references: Sequence[Unit], models: int) -> tuple[Unit, ...]:
    """The blocks that hold the first ``models`` reference models."""
    return tuple(unit for unit in work_references if unit.details["indices"][0] < models)


def make_work(
    plan: Plan, document: AuditDocument, target: Target, *, environment: Mapping[str, str], paths: Paths
) -> Work:
    """The units of a plan."""
    maker = _Maker(plan, document, target, environment, paths)
    train = maker.train()
    asked = Shown("queries", ModelState.TRAINED)
    queries = maker.observe(asked, train=train)
    models = range(plan.reference_models)
    references = tuple(maker.references(models[i : i + paths.block]) for i in range(0, len(models), paths.block))
    observations = {asked: queries}
    attacks: dict[str, tuple[Unit, ...]] = {}
    for row in plan.attacks:
        if row.runs and row.state is not None:
            shown = maker.shown(row, row.state)
            seen = observations.setdefault(shown, maker.observe(shown, train=train))
            attacks[row.key] = maker.attacks(row, seen, queries=queries, references=references)
    replicas = tuple(maker.replica(number, references) for number in range(1, plan.trainings))
    return Work(train, queries, tuple(observations.values()), references, attacks, maker.audits(), replicas)


def _mechanism(federation: FederationSettings, privacy: PrivacySettings) -> dict[str, Any]:
    """What of the settings decides how a round goes."""
    return {
        "federation": federation.model_dump(mode="json"),
        "privacy": privacy.model_dump(mode="json", exclude={"claimed_epsilon", "override"}),
    }


class _Maker:
    """Makes units that share target, seed and environment."""

    def __init__(
        self, plan: Plan, document: AuditDocument, target: Target, environment: Mapping[str, str], paths: Paths
    ) -> None:
        self._plan = plan
        self._document = document
        self._seed = document.settings.audit.seed
        self._given = target.weights is not None
        self._target = target_digest(target, document)
        self._environment = environment
        self._paths = paths
        self._federation = _mechanism(document.settings.federation, document.settings.privacy)

    def train(self, number: int = 0) -> Unit:
        """The audited model; with a number, another training with its own first weights, shares, order and noise."""
        details = {"given": self._given, **({} if self._given else self._federation)}
        again = (number,) if number else ()
        return self._unit(UnitKind.TRAIN, AUDITED, details | ({"training": number} if number else {}), *again)

    def replica(self, number: int, references: tuple[Unit, ...]) -> Replica:
        """Another training, and the attacks on the released model done on it."""
        train = self.train(number)
        queries = self.observe(Shown("queries", ModelState.TRAINED), train=train)
        observations, attacks = {queries.key: queries}, {}
        for row in self._plan.replicated:
            seen = self.observe(self.shown(row, ModelState.TRAINED), train=train)
            observations[seen.key] = seen
            attacks[row.key] = self.attacks(row, seen, queries=queries, references=references)
        return Replica(train, tuple(observations.values()), attacks)

    def references(self, indices: Sequence[int]) -> Unit:
        """A model's seed follows from its index, not from its block."""
        details = {"indices": list(indices), "how": self._paths.references, **self._federation}
        return self._unit(UnitKind.REFERENCE, "reference models", details)

    def shown(self, row: PlannedAttack, state: ModelState) -> Shown:
        """What names an observation: scenarios that show the same share it."""
        if row.view in OF_WEIGHTS:
            return Shown("weights", state)
        if row.view == "queries":
            return Shown(row.view, state)
        scenario = self._scenario(row.scenario)
        if row.view in TRAININGS:
            return self._shown_training(row, scenario)
        observer = "server" if scenario.actor == "server" else "participant"
        own = scenario.name if scenario.federation or scenario.privacy or scenario.part else ""
        attack = available()[row.attack].attack
        by = row.attack if attack is not None and issubclass(attack, AltersModel) else ""
        return Shown(row.view, state, observer, tuple(sorted(self._plan.grants[row.scenario].granted)), own, by)

    def _shown_training(self, row: PlannedAttack, scenario: Scenario) -> Shown:
        """Scenarios that watch the same training from the same place share it."""
        name = scenario.name if scenario.federation or scenario.privacy else ""
        if row.view == "checkpoints":
            return Shown(row.view, ModelState.TRAINED, scenario=name)
        federation = scenario.federation_of(self._document.settings.federation)
        attack = available()[row.attack].attack
        return Shown(
            row.view,
            ModelState.TRAINED,
            observer="server" if scenario.actor == "server" else "participant",
            scenario=name,
            altered_by=row.attack if attack is not None and issubclass(attack, AltersTraining) else "",
            own=scenario.own_clients(federation.clients),
        )

    def _sees_clients(self, row: PlannedAttack) -> bool:
        """Is the adversary shown what each client sent?"""
        server = self._scenario(row.scenario).actor == "server"
        return server and Grant.CLIENT_UPDATE in self._plan.grants[row.scenario].granted

    def _rows(self, shown: Shown) -> list[PlannedAttack]:
        """The attacks that read what is shown."""
        rows = [row for row in self._plan.attacks if row.runs and (row.view, row.state) == (shown.view, shown.state)]
        return [row for row in rows if self.shown(row, shown.state)[4:] == shown[4:]]

    def _scenario(self, name: str) -> Scenario:
        return next(scenario for scenario in self._plan.played if scenario.name == name)

    def _played(self, name: str) -> dict[str, Any]:
        """The federation and mechanism behind an observation; ``name`` is empty for the user's own."""
        if not name:
            return self._federation
        scenario = self._scenario(name)
        settings = self._document.settings
        return _mechanism(scenario.federation_of(settings.federation), scenario.privacy_of(settings.privacy))

    def observe(self, shown: Shown, *, train: Unit) -> Unit:
        """One seed for the views of a state, so that a sum holds the updates that are seen singly."""
        details: dict[str, Any] = {"view": shown.view, "state": shown.state.value, "seed": str(self._seed)}
        if shown.view in TRAININGS:
            details |= {
                "training_seed": str(train.seed),
                "count": CHECKPOINTS,
                "sees_clients": any(self._sees_clients(row) for row in self._rows(shown)),
                "own": shown.own,
                "altered": self._altered(shown),
                **self._played(shown.scenario),
            }
            return self._unit(UnitKind.OBSERVE, f"{shown.view} of a training", details)
        if shown.observer:
            details |= {
                "grants": list(shown.grants),
                "observer": shown.observer,
                "count": self._count(shown),
                "partition_seed": train.seed,
                "altered": self._altered(shown),
                **self._part(shown),
                **self._played(shown.scenario),
            }
        inputs = {"model": (train.key,)} if shown.state is ModelState.TRAINED else {}
        return self._unit(UnitKind.OBSERVE, f"{shown.view} at the {shown.state.value} model", details, inputs=inputs)

    def _part(self, shown: Shown) -> dict[str, Any]:
        """What a scenario shows of an update of which it shows a part."""
        part = self._scenario(shown.scenario).part if shown.view == "part" and shown.scenario else None
        return {"part": part.model_dump(mode="json")} if part else {}

    def _altered(self, shown: Shown) -> dict[str, Any]:
        """Who alters the model, and how; empty where nobody does."""
        attack = available()[shown.altered_by].attack if shown.altered_by else None
        if attack is None:
            return {}
        return {
            "attack": attack.name,
            "revision": attack.revision,
            "parameters": self._plan.parameters[attack.name].model_dump(mode="json"),
            "population": Grant.POPULATION_DATA in shown.grants,
            "seed": str(derive_seed(self._seed, "alter", attack.name)),
        }

    def _count(self, shown: Shown) -> int:
        return max(row.updates for row in self._rows(shown))

    def attacks(
        self, row: PlannedAttack, seen: Unit, *, queries: Unit, references: tuple[Unit, ...]
    ) -> tuple[Unit, ...]:
        knows = Knows.under(self._plan.grants[row.scenario].granted, references=row.references)
        inputs: dict[str, tuple[str, ...]] = {"observation": (seen.key,)}
        if row.view == "queries" and knows.population_answers:
            inputs["queries"] = (queries.key,)
        if knows.references:
            inputs["references"] = tuple(unit.key for unit in reference_units(references, row.references))
        if "model" in seen.inputs and seen.details.get("altered"):
            inputs["model"] = seen.inputs["model"]
        attack = available()[row.attack].attack
        details = {
            "view": row.view,
            "state": str(row.state),
            "revision": attack.revision if attack else 0,
            "parameters": self._plan.parameters[row.attack].model_dump(mode="json"),
            "knows": knows.names(),
            "references": row.references,
            "batched": self._paths.candidates == "stacked",
            **({"sees_clients": self._sees_clients(row)} if row.view == "rounds" else {}),
            "altered": {} if row.view in TRAININGS else seen.details.get("altered", {}),
        }
        return tuple(
            self._unit(
                UnitKind.ATTACK, row.attack, {**details, "index": index}, row.view, str(row.state), index, inputs=inputs
            )
            for index in range(row.updates)
        )

    def audits(self) -> dict[str, tuple[Unit, ...]]:
        """The games of every audit of epsilon."""
        settings = self._document.settings
        return {
            planned.name: tuple(
                self._unit(
                    UnitKind.AUDIT, f"epsilon audit {planned.name}", audit_details(planned, settings, game), game
                )
                for game in range(planned.games)
            )
            for planned in self._plan.audits
            if planned.status == RUN
        }

    def _unit(
        self,
        kind: UnitKind,
        name: str,
        details: Mapping[str, Any],
        *names: str | int,
        inputs: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Unit:
        return make_unit(
            kind,
            name,
            target=self._target,
            details=details,
            seed=unit_seed(self._seed, kind, name, *names),
            environment=self._environment,
            inputs=inputs,
        )
