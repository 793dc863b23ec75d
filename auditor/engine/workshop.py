"""Does one unit of work. Holds the target; hands an attack only what was granted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from auditor.attacks.base import AlteredModel, AltersModel, AltersTraining, Attack, Knowledge, ReadsPrior, RunContext
from auditor.attacks.registry import available
from auditor.config.scenario import PartSettings
from auditor.config.settings import AuditSettings, FederationSettings, PrivacySettings
from auditor.core.errors import AttackFailed, AuditorError
from auditor.core.grants import Grant
from auditor.core.seeds import derive_seed
from auditor.core.shape import ModelState
from auditor.engine.adversary import Attacked, known_to, run_attack
from auditor.engine.audits import play_unit
from auditor.engine.memory import free_memory, is_out_of_memory, limited, worker_share
from auditor.engine.models import Models
from auditor.engine.packing import pack, pack_output, pack_queries, pack_updates, unpack, unpack_truth, unpack_update
from auditor.engine.seen import handed, was_cut
from auditor.engine.units import Made, Task, Unit, UnitKind
from auditor.engine.views import GAMES
from auditor.engine.watching import Training
from auditor.observations.model import State
from auditor.observations.moving import on_device
from auditor.observations.records import Records
from auditor.observations.released import Observation, Queries, Rounds
from auditor.simulation.observe import observe_updates
from auditor.targets.target import Target

Locate = Callable[[str], Path]
"""Key of a finished unit -> the file of its output."""


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
        self.models = Models(target, settings, device=device)

    def make(self, task: Task) -> Made:
        """Do the unit.

        Raises:
            AuditorError: with one sentence that says why it cannot be done.
        """
        with limited(worker_share(self.settings, device=self.device), device=self.device):
            return self._done(task)

    def _done(self, task: Task) -> Made:
        unit = task.unit
        match unit.kind:
            case UnitKind.TRAIN:
                return Made(self.models.train(unit))
            case UnitKind.REFERENCE:
                return Made(self.models.references(unit))
            case UnitKind.OBSERVE if unit.details["view"] == "rounds":
                return self._watch(task)
            case UnitKind.OBSERVE:
                return Made(self._observe(unit))
            case UnitKind.ATTACK:
                return self._attack(task)
            case UnitKind.AUDIT:
                return Made(play_unit(unit, self.target, device=self.device))

    # Observations

    def _state(self, unit: Unit) -> State:
        if unit.details["state"] == ModelState.INITIAL:
            return _moved(self.models.initial(), self.device)
        return _moved(unpack(self._locate(unit.inputs["model"][0])).tensors, self.device)

    def _observe(self, unit: Unit) -> bytes:
        if unit.details["view"] == "checkpoints":
            return self._training(unit).checkpoints()
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
            state_for=sent.for_client,
            part=PartSettings.model_validate(unit.details["part"]) if unit.details.get("part") else None,
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
        own = sent.for_client
        return replace(
            sent,
            state=_moved(sent.state, self.device),
            for_client=own and (lambda place: _moved(own(place), self.device)),
        )

    def _training(self, unit: Unit) -> Training:
        return Training(unit, self.target, initial=self.models.initial(), device=self.device)

    def _watch(self, task: Task) -> Made:
        """The rounds of a training, with somebody in them who deviates where the scenario says so."""
        by = task.unit.details["altered"]
        attack = _made(by["attack"], by["parameters"]) if by else None
        assert attack is None or isinstance(attack, AltersTraining)
        return self._training(task.unit).log(self.models.game, attack=attack, seconds_left=task.seconds_left)

    def _queries(self, state: State) -> bytes:
        outputs, losses = self.models.answers(state, self.models.game.candidates)
        population_outputs, population_losses = self.models.answers(state, self.target.population)
        if not bool(torch.isfinite(losses).all()):
            raise AuditorError(
                "The audited model gives a loss that is not a number.",
                remedy="Check target.weights and the scale of the data (target.data.normalise).",
            )
        return pack_queries(
            Queries(outputs, losses, self.models.game.candidates.labels), population_outputs, population_losses
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
        done = self._attacked(attack, known, task, batched=bool(unit.details["batched"]))
        cut = done.cut or (unit.details["view"] == "rounds" and was_cut(self._locate(unit.inputs["observation"][0])))
        return Made(pack_output(done.output, {"cut": cut}), cut)

    def _attacked(self, attack: Attack, known: Knowledge, task: Task, *, batched: bool) -> Attacked:
        """The attack's output; where its candidates do not fit into memory at once, they go one after the other."""
        seen = self._seen(task.unit, attack)
        asked = len(seen.candidates) if isinstance(seen, Rounds) else len(self.models.game.candidates)
        try:
            return run_attack(
                attack,
                seen,
                known,
                seed=task.unit.seed,
                device=self.device,
                seconds_left=task.seconds_left,
                candidates=asked,
                batched=batched,
            )
        except (MemoryError, RuntimeError) as error:
            if not batched or not is_out_of_memory(error):
                raise
        free_memory(self.device)
        return self._attacked(attack, known, task, batched=False)

    def _prior(self, unit: Unit, size: int) -> Records:
        """A record behind the update among others of its kind, in an order that says nothing."""
        truth = unpack_truth(self._locate(unit.inputs["observation"][0]), int(unit.details["index"]))[:1]
        generator = torch.Generator().manual_seed(derive_seed(unit.seed, "prior"))
        others = self.target.population[torch.randperm(len(self.target.population), generator=generator)[: size - 1]]
        order = torch.randperm(1 + len(others), generator=generator)
        mixed = Records(torch.cat([truth.inputs, others.inputs]), torch.cat([truth.labels, others.labels]))
        return mixed[order].to(self.device)

    def _seen(self, unit: Unit, attack: Attack) -> Observation:
        path = self._locate(unit.inputs["observation"][0])
        if unit.details["view"] in GAMES:
            return handed(unit.details, path, attack, target=self.target, models=self.models, device=self.device)
        return on_device(unpack_update(path, int(unit.details["index"])), self.device)


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
