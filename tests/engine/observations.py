"""One real observation of every kind, from small federations, for the contract of attacks."""

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from auditor.attacks.inference.attribute import masked
from auditor.config.settings import FederationSettings, ParticipationSettings, PrivacySettings
from auditor.engine.game import membership_game
from auditor.engine.outputs import predicted_classes
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import Column, LocalTraining, Preprocessing
from auditor.observations.records import Records
from auditor.observations.released import (
    Aggregate,
    Checkpoints,
    ClientUpdate,
    LabelOracle,
    MaskedRecords,
    Observation,
    Queries,
    Rounds,
    Weights,
)
from auditor.simulation.observe import observe_updates
from auditor.simulation.play import Play
from auditor.simulation.recipe import local_recipe
from auditor.simulation.rounds import play_rounds
from auditor.simulation.views import server_view
from auditor.targets.target import Target
from tests.engine.targets import digits_target, tumour_target

CLIENTS = 5
COLUMN = Column("ward", 26, 30, "categorical")
KINDS = (ClientUpdate, Aggregate, Queries, Weights, Checkpoints, LabelOracle, Rounds, MaskedRecords)


@cache
def picture_target() -> Target:
    """Digits, in a federation whose cohorts change."""
    return _named(digits_target(), {"changing_cohorts"})


@cache
def table_target() -> Target:
    """Tumours, of which the last four columns say a ward."""
    target = tumour_target()
    known = Preprocessing(columns=(COLUMN,))
    splits = {
        name: _with_ward(getattr(target, name), i) for i, name in enumerate(("members", "nonmembers", "population"))
    }
    return _named(replace(target, model=replace(target.model, preprocessing=known), **splits), {"categorical_column"})


def _with_ward(records: Records, seed: int) -> Records:
    ward = torch.randint(0, 4, (len(records),), generator=torch.Generator().manual_seed(seed))
    inputs = records.inputs.clone()
    inputs[:, COLUMN.start : COLUMN.stop] = F.one_hot(ward, 4).float()
    return Records(inputs, records.labels)


def _named(target: Target, traits: set[str]) -> Target:
    shape = target.model.shape
    more = {"traits": shape.traits | traits, "aggregated_clients": CLIENTS}
    return replace(target, model=replace(target.model, shape=shape.model_copy(update=more)))


def federation_of(**changes: object) -> FederationSettings:
    """A few clients, of which one stays out in each round."""
    return FederationSettings(
        algorithm="fedavg",
        clients=CLIENTS,
        rounds=16,
        participation=ParticipationSettings(scheme="fixed_size", count=CLIENTS - 1),
    ).model_copy(update=changes)


@cache
def observation(kind: type, *, table: bool = False) -> Observation:
    """A real observation of ``kind``."""
    target = table_target() if table else picture_target()
    model = FunctionalModel(target.model)
    state, candidates = model.initial_state(1), membership_game(target, seed=3).candidates
    match kind:
        case _ if kind is Weights:
            return Weights(state, candidates)
        case _ if kind is Queries:
            with torch.no_grad():
                outputs = model.outputs(state, candidates.inputs)
                return Queries(outputs, model.losses(state, candidates), candidates.labels, candidates.inputs)
        case _ if kind is LabelOracle:
            return LabelOracle(lambda inputs: _asked(model, state, inputs), candidates)
        case _ if kind is MaskedRecords:
            return MaskedRecords(state, masked(candidates, COLUMN), COLUMN)
        case _ if kind is Checkpoints:
            return Checkpoints(tuple(model.initial_state(seed) for seed in (1, 2, 3)), candidates)
        case _ if kind is Rounds:
            return _rounds(target, model, candidates)
    seen = observe_updates(
        federation_of(algorithm="fedsgd"),
        PrivacySettings(mechanism="none"),
        target.model,
        target.members,
        state=state,
        view="aggregate" if kind is Aggregate else "client",
        count=1,
        seed=1,
        grants=frozenset(),
    )
    return seen[0].observation


def _asked(model: FunctionalModel, state: dict[str, Tensor], inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return predicted_classes(model.outputs(state, inputs))


def _rounds(target: Target, model: FunctionalModel, candidates: Records) -> Rounds:
    federation = federation_of()
    privacy = PrivacySettings(mechanism="none")
    play = Play.prepared(federation, privacy, model, target.members, groups=None, seed=4)
    played = play_rounds(play, None, rounds=federation.rounds)
    views = [view for each in played if (view := server_view(each, play, sees_clients=True)) is not None]
    local: LocalTraining = local_recipe(federation, len(target.members) // CLIENTS)
    return Rounds(tuple(views), candidates, None, local, asked=torch.arange(len(candidates)) % CLIENTS)


def held(seen: Observation) -> list[Tensor]:
    """Every tensor that an attack could change."""
    match seen:
        case ClientUpdate() | Aggregate():
            return [*seen.before.values(), *seen.update.values()]
        case Weights():
            return list(seen.state.values())
        case Queries():
            return [seen.outputs, seen.losses, seen.labels]
        case Checkpoints():
            return [seen.candidates.inputs, *(tensor for state in seen.states for tensor in state.values())]
        case MaskedRecords():
            return [seen.candidates.inputs, *seen.state.values()]
        case LabelOracle():
            return [seen.candidates.inputs, seen.candidates.labels]
        case Rounds():
            updates = (
                update for view in seen.rounds for update in (view.before, view.aggregate, *view.updates.values())
            )
            return [seen.candidates.inputs, *(tensor for update in updates for tensor in update.values())]
    return []
