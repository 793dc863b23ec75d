"""What an adversary is handed, and the checks on what it hands back."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from auditor.attacks.base import Attack, Knowledge, ReferenceModels, RunContext
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.engine.packing import unpack
from auditor.engine.units import Unit
from auditor.observations.released import Observation
from auditor.observations.returned import (
    AttackOutput,
    Attributions,
    InferredShare,
    MembershipScores,
    Reconstruction,
    RecoveredLabels,
)
from auditor.targets.target import Target


@dataclass(frozen=True)
class Knows:
    """Which fields of :class:`Knowledge` the grants open."""

    population: bool
    population_answers: bool
    references: bool

    @classmethod
    def under(cls, granted: frozenset[Grant], *, references: int) -> "Knows":
        """The rule: one grant, one field; reference models need data, recipe, and an attack that reads them."""
        population = Grant.POPULATION_DATA in granted
        return cls(
            population=population,
            population_answers=population and Grant.MODEL_QUERIES in granted,
            references=population and Grant.TRAINING_RECIPE in granted and references > 0,
        )

    def names(self) -> list[str]:
        """The opened fields, for the unit's key."""
        return [field.name for field in fields(self) if getattr(self, field.name)]


def known_to(unit: Unit, *, target: Target, locate: Callable[[str], Path], device: str) -> Knowledge:
    """The knowledge that ``unit.details['knows']`` names, and nothing else."""
    knows = unit.details["knows"]
    outputs = losses = None
    if "population_answers" in knows and "queries" in unit.inputs:
        packed = unpack(locate(unit.inputs["queries"][0]), prefixes=("population_",))
        outputs = packed.tensors["population_outputs"].to(device)
        losses = packed.tensors["population_losses"].to(device)
    return Knowledge(
        model=target.model,
        population=target.population.to(device) if "population" in knows else None,
        population_outputs=outputs,
        population_losses=losses,
        prior=target.prior if "population" in knows else None,
        references=references_of(unit, locate=locate, device=device) if "references" in knows else None,
    )


def references_of(unit: Unit, *, locate: Callable[[str], Path], device: str) -> ReferenceModels:
    """The answers of as many reference models as the attack reads, split into candidates and population."""
    found = [unpack(locate(key)) for key in unit.inputs["references"]]
    cut = int(found[0].meta["candidates"])

    def stacked(name: str) -> Tensor:
        blocks = torch.cat([packed.tensors[name] for packed in found])
        return blocks[: unit.details["references"]].to(device)

    outputs, losses, included = stacked("outputs"), stacked("losses"), stacked("included")
    return ReferenceModels(
        outputs=outputs[:, :cut],
        losses=losses[:, :cut],
        included=included[:, :cut],
        population_outputs=outputs[:, cut:],
        population_losses=losses[:, cut:],
        population_included=included[:, cut:],
    )


@dataclass(frozen=True)
class Attacked:
    """An attack's output, and whether the budget ended it early."""

    output: AttackOutput
    cut: bool


def run_attack(
    attack: Attack,
    seen: Observation,
    known: Knowledge,
    *,
    seed: int,
    device: str,
    seconds_left: float | None,
    candidates: int,
    batched: bool | None = None,
) -> Attacked:
    """Run one attack and refuse an output that cannot be measured.

    Raises:
        AttackFailed: with the reason to print.
    """
    deadline = None if seconds_left is None else time.monotonic() + max(seconds_left, 0.0)
    context = RunContext(device=device, seed=seed, deadline=deadline, batched=batched)
    output = attack.run(seen, known, context)
    check_output(output, candidates=candidates, input_shape=known.model.shape.input_shape)
    return Attacked(output, context.out_of_time or bool(context.shortened))


def check_output(output: AttackOutput, *, candidates: int, input_shape: tuple[int, ...]) -> None:
    """Refuse an output that no metric can read.

    Raises:
        AttackFailed: with the reason to print.
    """
    match output:
        case MembershipScores(scores=scores):
            if scores.shape != (candidates,):
                raise AttackFailed(f"gave {tuple(scores.shape)} scores for {candidates} candidates")
            if bool(scores.isnan().any()):
                raise AttackFailed(f"gave scores that are not numbers for {int(scores.isnan().sum())} candidates")
        case Reconstruction(inputs=inputs):
            if inputs.shape[1:] != input_shape:
                raise AttackFailed(f"gave records of shape {tuple(inputs.shape[1:])}; the target's are {input_shape}")
            if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
                raise AttackFailed("gave records with values that are not numbers")
        case RecoveredLabels(counts=counts):
            if counts.ndim != 1 or bool((counts < 0).any()):
                raise AttackFailed("gave label counts that are not counts")
        case Attributions(scores=scores, choices=choices):
            if scores.shape != (candidates, len(choices)):
                raise AttackFailed(f"gave {tuple(scores.shape)} scores for {candidates} candidates")
            if bool(scores.isnan().any()):
                raise AttackFailed("gave scores that are not numbers")
        case InferredShare(share=share, guess=guess):
            if not (0 <= share <= 1 and 0 <= guess <= 1):
                raise AttackFailed("gave a share that is none")
        case _:
            raise AttackFailed(f"gave a {type(output).__name__}, which no metric reads")
