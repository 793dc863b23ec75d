"""Does one unit of work. Holds the target; hands an attack only what was granted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from auditor.attacks.base import AlteredModel, AltersModel, Attack, Knowledge, ReadsPrior, RunContext
from auditor.attacks.registry import available
from auditor.config.settings import AuditSettings, FederationSettings, PartitionSettings, PrivacySettings
from auditor.core.errors import AttackFailed, AuditorError
from auditor.core.grants import Grant
from auditor.core.seeds import derive_seed
from auditor.core.shape import ModelState
from auditor.engine.adversary import known_to, run_attack
from auditor.engine.game import Game, membership_game, reference_row
from auditor.engine.packing import pack, pack_output, pack_queries, pack_updates, unpack, unpack_truth, unpack_update
from auditor.engine.units import Made, Task, Unit, UnitKind
from auditor.learning.choice import Choice
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import State
from auditor.observations.records import Records
from auditor.observations.released import Observation, Queries, Weights
from auditor.simulation.lockstep import train_federations
from auditor.simulation.observe import observe_updates
from auditor.simulation.rounds import train_federation
from auditor.targets.target import Target

Locate = Callable[[str], Path]
"""Key of a finished unit -> the file of its output."""

CHUNK = 1024
"""Records in one forward pass."""


class Workshop:
    """Everything a unit needs: target, settings, device, and the outputs of earlier units.

    Args:
        target: The truth. Attack code never receives it.
        locate: Finds the outputs of units that are done.
    """

    def __init__(self, target: Target, settings: AuditSettings, *, device: str, locate: Locate) -> None:
        self.target = target
        self.settings = settings
        self.device = device
        self._locate = locate

    def make(self, task: Task) -> Made:
        """Do the unit.

        Raises:
            AuditorError: with one sentence that says why it cannot be done.
        """
        unit = task.unit
        match unit.kind:
            case UnitKind.TRAIN:
                return Made(self._train(unit))
            case UnitKind.REFERENCE:
                return Made(self._references(unit))
            case UnitKind.OBSERVE:
                return Made(self._observe(unit))
            case UnitKind.ATTACK:
                return self._attack(task)

    @cached_property
    def model(self) -> FunctionalModel:
        """The audited model as a pure function."""
        return FunctionalModel(self.target.model, device=self.device)

    @cached_property
    def game(self) -> Game:
        """Candidates of membership attacks."""
        return membership_game(self.target, seed=self.settings.audit.seed)

    # Models

    def _initial(self) -> State:
        return self.model.initial_state(derive_seed(self.settings.audit.seed, "initial"))

    def _train(self, unit: Unit) -> bytes:
        if unit.details["given"]:
            if self.target.weights is None:
                raise AuditorError("The weights of the target are missing.", remedy="Check target.weights.")
            return pack(self.target.weights, {"type": "state"})
        trained = train_federation(
            self.settings.federation,
            self.settings.privacy,
            self.target.model,
            self.target.members,
            groups=self.target.member_groups,
            seed=unit.seed,
            initial=self._initial(),
            device=self.device,
        )
        require_finite(trained.state, "the training of the audited model")
        return pack(trained.state, {"type": "state"})

    def _references(self, unit: Unit) -> bytes:
        """Train models as the adversary would, and keep what they answer, not their weights."""
        candidates, population = self.game.candidates, self.target.population
        pool = Records(
            torch.cat([candidates.inputs, population.inputs]), torch.cat([candidates.labels, population.labels])
        )
        indices = [int(index) for index in unit.details["indices"]]
        rows = [self._row(index) for index in indices]
        federation = self.settings.federation
        if federation.partition.scheme == "by_column":
            federation = federation.model_copy(update={"partition": PartitionSettings(scheme="iid")})
        trained = train_federations(
            federation,
            self.settings.privacy,
            self.target.model,
            pool,
            [row.nonzero().squeeze(1) for row in rows],
            seeds=[derive_seed(unit.seed, index) for index in indices],
            device=self.device,
            how=Choice(unit.details["how"], "measured for this run"),
        )
        answers = []
        for one in trained.results:
            require_finite(one.state, "the training of a reference model")
            answers.append(self._answers(one.state, pool))
        tensors = {
            "outputs": torch.stack([outputs for outputs, _ in answers]),
            "losses": torch.stack([losses for _, losses in answers]),
            "included": torch.stack(rows),
        }
        return pack(tensors, {"candidates": len(candidates)})

    def _row(self, index: int) -> Tensor:
        return reference_row(
            index,
            candidates=len(self.game.candidates),
            population=len(self.target.population),
            members=len(self.target.members),
            seed=self.settings.audit.seed,
        )

    def _answers(self, state: State, records: Records) -> tuple[Tensor, Tensor]:
        """Outputs and per-record losses, in chunks; on the CPU."""
        outputs: list[Tensor] = []
        losses: list[Tensor] = []
        with torch.no_grad():
            for start in range(0, len(records), CHUNK):
                part = records[slice(start, start + CHUNK)].to(self.device)
                losses.append(self.model.losses(state, part).cpu())
                if self.settings.target.task == "language_model":
                    outputs.append(-losses[-1].unsqueeze(1))
                else:
                    outputs.append(self.model.outputs(state, part.inputs).cpu())
        return torch.cat(outputs), torch.cat(losses)

    # Observations

    def _state(self, unit: Unit) -> State:
        if unit.details["state"] == ModelState.INITIAL:
            return _moved(self._initial(), self.device)
        return _moved(unpack(self._locate(unit.inputs["model"][0])).tensors, self.device)

    def _observe(self, unit: Unit) -> bytes:
        if unit.details["view"] == "queries":
            return self._queries(self._state(unit))
        if unit.details["view"] == "weights":
            return pack(self._state(unit), {"type": "state"})
        sent = AlteredModel(self.target.model, self._state(unit))
        if unit.details["altered"]:
            sent = self._altered(unit, unit.details["altered"])
        observed = observe_updates(
            FederationSettings.model_validate(unit.details["federation"]),
            PrivacySettings.model_validate(unit.details["privacy"]),
            sent.model,
            self.target.members,
            groups=self.target.member_groups,
            state=sent.state,
            view=unit.details["view"],
            count=unit.details["count"],
            seed=unit.seed,
            grants=frozenset(map(Grant, unit.details["grants"])),
            device=self.device,
            observer=unit.details["observer"],
            partition_seed=unit.details["partition_seed"],
        )
        return pack_updates(observed)

    def _altered(self, unit: Unit, by: Mapping[str, Any]) -> AlteredModel:
        """What a malicious server sends; the same for the update and for the attack that reads it.

        Raises:
            AttackFailed: where the attack cannot be imported.
        """
        attack = _made(by["attack"], by["parameters"])
        assert isinstance(attack, AltersModel)
        population = self.target.population.to(self.device) if by["population"] else None
        known = Knowledge(self.target.model, population=population)
        context = RunContext(device=self.device, seed=int(by["seed"]))
        sent = attack.alter(self.target.model, self._state(unit), known, context)
        return AlteredModel(sent.model, _moved(sent.state, self.device))

    def _queries(self, state: State) -> bytes:
        outputs, losses = self._answers(state, self.game.candidates)
        population_outputs, population_losses = self._answers(state, self.target.population)
        if not bool(torch.isfinite(losses).all()):
            raise AuditorError(
                "The audited model gives a loss that is not a number.",
                remedy="Check target.weights and the scale of the data (target.data.normalise).",
            )
        return pack_queries(
            Queries(outputs, losses, self.game.candidates.labels), population_outputs, population_losses
        )

    # Attacks

    def _attack(self, task: Task) -> Made:
        unit = task.unit
        attack = _made(unit.name, unit.details["parameters"])
        known = known_to(unit, target=self.target, locate=self._locate, device=self.device)
        if isinstance(attack, ReadsPrior):
            known = replace(known, candidates=self._prior(unit, attack.prior_records()))
        if unit.details["altered"]:
            known = replace(known, model=self._altered(unit, unit.details["altered"]).model)
        done = run_attack(
            attack,
            self._seen(unit),
            known,
            seed=unit.seed,
            device=self.device,
            seconds_left=task.seconds_left,
            candidates=len(self.game.candidates),
            batched=unit.details["batched"],
        )
        return Made(pack_output(done.output, {"cut": done.cut}), done.cut)

    def _prior(self, unit: Unit, size: int) -> Records:
        """A record behind the update among others of its kind, in an order that says nothing."""
        truth = unpack_truth(self._locate(unit.inputs["observation"][0]), int(unit.details["index"]))[:1]
        generator = torch.Generator().manual_seed(derive_seed(unit.seed, "prior"))
        others = self.target.population[torch.randperm(len(self.target.population), generator=generator)[: size - 1]]
        order = torch.randperm(1 + len(others), generator=generator)
        mixed = Records(torch.cat([truth.inputs, others.inputs]), torch.cat([truth.labels, others.labels]))
        return mixed[order].to(self.device)

    def _seen(self, unit: Unit) -> Observation:
        path = self._locate(unit.inputs["observation"][0])
        match unit.details["view"]:
            case "queries":
                packed = unpack(path)
                names = ("outputs", "losses", "labels")
                return Queries(*(packed.tensors[name].to(self.device) for name in names))
            case "weights":
                return Weights(_moved(unpack(path).tensors, self.device))
            case _:
                seen = unpack_update(path, int(unit.details["index"]))
                labels = None if seen.labels is None else seen.labels.to(self.device)
                return replace(
                    seen,
                    before=_moved(seen.before, self.device),
                    update=_moved(seen.update, self.device),
                    labels=labels,
                )


def _made(name: str, parameters: Mapping[str, Any]) -> Attack:
    """The attack with its parameters.

    Raises:
        AttackFailed: where it cannot be imported.
    """
    entry = available()[name]
    if entry.attack is None:
        raise AttackFailed(f"{name} cannot be imported: {entry.error}")
    return entry.attack(entry.attack.Params.model_validate(parameters))


def _moved(state: Mapping[str, Tensor], device: str) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in state.items()}


def require_finite(state: State, what: str) -> None:
    """Refuse weights that are not numbers.

    Raises:
        AuditorError: which names the usual cause.
    """
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise AuditorError(
            f"Loss is not a number in {what}: weights such as {bad[0]!r} are no longer finite.",
            remedy="Lower federation.local.learning_rate, or check the scale of the data (target.data.normalise).",
        )
