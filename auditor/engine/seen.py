"""What an attack is handed: the outputs of earlier units as an observation."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from auditor.attacks.base import AsksColumn, Attack
from auditor.attacks.inference.attribute import masked
from auditor.engine.models import Models
from auditor.engine.outputs import predicted_classes
from auditor.engine.packing import Packed, unpack, unpack_queries
from auditor.observations.model import Column, LocalTraining, Privatisation, State
from auditor.observations.released import (
    Checkpoints,
    LabelOracle,
    MaskedRecords,
    Observation,
    Projections,
    Queries,
    Rounds,
    RoundView,
    Weights,
)
from auditor.targets.target import Target

FIGURES = ("cosines", "losses", "aggregate_cosines", "received", "settled")


def handed(
    details: Mapping[str, Any], path: Path, attack: Attack, *, target: Target, models: Models, device: str
) -> Observation:
    """The observation of a view that is no update.

    Args:
        details: Of the attack's unit; for ``view`` see :mod:`auditor.engine.views`.
        path: Output of the observing unit; several attacks may read it, each no more than it was granted.
        attack: Who gets it. Only a membership attack is told which records, or which clients, it is asked about.
        target: The truth.
        models: Candidates, and the audited model as a function.
        device: torch device.
    """
    candidates = models.game.candidates.to(device)
    asks_membership = attack.attack_class == "membership"
    match details["view"]:
        case "queries":
            found = unpack_queries(unpack(path))
            parts = (found.outputs.to(device), found.losses.to(device), found.labels.to(device))
            return Queries(*parts, inputs=candidates.inputs)
        case "weights":
            return Weights(_moved(unpack(path).tensors, device), candidates if asks_membership else None)
        case "labels":
            state = _moved(unpack(path).tensors, device)
            return LabelOracle(lambda inputs: _label(models, state, inputs), candidates)
        case "masked":
            column = asked_column(attack, target)
            return MaskedRecords(_moved(unpack(path).tensors, device), masked(candidates, column), column)
        case "checkpoints":
            packed = unpack(path)
            states = (packed.under(f"{i}/") for i in range(int(packed.meta["count"])))
            return Checkpoints(tuple(_moved(state, device) for state in states), candidates)
        case _:
            seen = _rounds(unpack(path), models, asks_membership=asks_membership)
            return seen if details["sees_clients"] else replace(seen, projections=_sums(seen.projections))


def asked_column(attack: Attack, target: Target) -> Column:
    """The column that an attack on attributes asks about."""
    assert isinstance(attack, AsksColumn)
    return attack.asked_column(target.model.preprocessing.columns, target.population)


def was_cut(path: Path) -> bool:
    """Did time end a log of rounds early?"""
    return bool(unpack(path, prefixes=("index",)).meta["cut"])


def _label(models: Models, state: State, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return predicted_classes(models.audited.outputs(state, inputs))


def _rounds(packed: Packed, models: Models, *, asks_membership: bool) -> Rounds:
    meta = packed.meta
    return Rounds(
        rounds=tuple(RoundView(number, {}, {}, tuple(cohort), {}) for number, cohort in meta["cohorts"]),
        candidates=models.game.candidates[packed.tensors["index"]],
        client=None,
        local=LocalTraining(**meta["local"]),
        privatisation=Privatisation(**meta["privatisation"]),
        asked=packed.tensors["asked"] if asks_membership else None,
        projections=Projections(
            tuple(meta["senders"]),
            **{name: packed.tensors[name] for name in FIGURES},
            own=packed.tensors.get("own"),
            own_aggregate=packed.tensors.get("own_aggregate"),
        ),
    )


def _sums(figures: Projections | None) -> Projections | None:
    """What is left of a log under secure aggregation."""
    if figures is None:
        return None
    return replace(figures, senders=(), cosines=figures.cosines[:, :0], losses=figures.losses[:, :0], own=None)


def _moved(state: Mapping[str, Tensor], device: str) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in state.items()}
