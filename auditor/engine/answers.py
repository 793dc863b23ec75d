"""Measures what attacks say of candidate records: who was a member, whose record it was, what it held."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from auditor.attacks.base import Attack
from auditor.attacks.inference.attribute import imputed, masked, slots
from auditor.attacks.registry import available
from auditor.core.measurement import ArrayRef, Measurement
from auditor.core.seeds import derive_seed
from auditor.core.shape import Task
from auditor.engine.game import Game
from auditor.engine.packing import unpack
from auditor.engine.plan import PlannedAttack
from auditor.engine.questions import Questions
from auditor.engine.seen import asked_column
from auditor.engine.units import Unit
from auditor.metrics.choices import measure_agreement, measure_attribute, measure_source
from auditor.metrics.membership import measure_membership
from auditor.metrics.shift import BlindBaseline, beside, blind_baseline
from auditor.metrics.vulnerability import measure_exposure
from auditor.observations.returned import Attributions, MembershipScores
from auditor.store.run_directory import RunDirectory
from auditor.targets.target import Target


@dataclass(frozen=True)
class Measured:
    """Metrics of one attack with the curves beside them, and why low ones show little."""

    measurements: tuple[Measurement, ...]
    arrays: tuple[ArrayRef, ...] = ()
    notes: tuple[str, ...] = ()
    doubt: str = ""


class Answers:
    """Compares answers about candidates with the truth, each beside a guess without the model and a control.

    Args:
        target: The truth.
        game: Candidates, and which of them are members.
        directory: For curves, and for scores by record that only the assessor sees.
        seed: Of the run.
    """

    def __init__(self, target: Target, game: Game, *, directory: RunDirectory, seed: int) -> None:
        self._target = target
        self._game = game
        self._directory = directory
        self._seed = seed
        self._blinds: dict[str, BlindBaseline] = {}

    def membership(self, row: PlannedAttack, unit: Unit, scores: MembershipScores) -> Measured:
        """Rates at pre-set false-positive rates, with their curve."""
        asked = self._questions(row, unit)
        is_member = self._game.is_member if asked is None else asked.owner >= 0
        blind = self._blind if asked is None else self._blind_about(asked, unit)
        self._keep(row, asked, is_member, scores)
        measures = measure_membership(scores, is_member)
        roc = self._directory.write_array("roc", measures.roc)
        seed = derive_seed(self._seed, "negative control", row.attack)
        controls = [m for m in beside(scores, is_member, blind, seed=seed) if m.value is not None]
        floored = (_with_floor(measured, blind) for measured in measures.measurements)
        copied = () if scores.agreement is None else (measure_agreement(scores.agreement),)
        exposure = measure_exposure(scores, is_member, self._classes(asked))
        arrays = () if exposure.table is None else (self._directory.write_array("by_class", exposure.table),)
        return Measured(
            (*floored, *copied, *exposure.measurements, *controls),
            (roc, *arrays),
            (*measures.warnings, self._without_model(asked, blind), *exposure.notes),
        )

    def _classes(self, asked: Questions | None) -> Tensor | None:
        """Class of each record that is asked about; None where the task has none."""
        if self._target.model.shape.task != Task.CLASSIFICATION:
            return None
        labels = self._game.candidates.labels
        return labels if asked is None else labels[asked.index]

    def attributions(self, row: PlannedAttack, unit: Unit, found: Attributions) -> Measured:
        """How often the right client, or the right value, has the highest score."""
        if row.view == "masked":
            return Measured(self._attribute(row, unit.details["parameters"], found))
        asked = self._questions(row, unit)
        assert asked is not None
        records = self._game.candidates[asked.index]
        seed = derive_seed(self._seed, "blind source")
        return Measured(measure_source(found, records, asked.owner, asked.asked, seed=seed))

    def _attribute(
        self, row: PlannedAttack, parameters: Mapping[str, Any], found: Attributions
    ) -> tuple[Measurement, ...]:
        attack: type[Attack] | None = available()[row.attack].attack
        assert attack is not None
        column = asked_column(attack(attack.Params.model_validate(parameters)), self._target)
        candidates = self._game.candidates
        seed = derive_seed(self._seed, "imputation")
        guessed = imputed(self._target.population, masked(candidates, column), column, with_label=True, seed=seed)
        return measure_attribute(found, guessed, slots(candidates.inputs, column), self._game.is_member)

    def _questions(self, row: PlannedAttack, unit: Unit) -> Questions | None:
        """Of a log of rounds; elsewhere every candidate is asked about."""
        if row.view != "rounds":
            return None
        path = self._directory.output_path(unit.inputs["observation"][0])
        tensors = unpack(path, prefixes=("index", "asked", "truth.owner")).tensors
        return Questions(tensors["index"], tensors["asked"], tensors["truth.owner"])

    @cached_property
    def _blind(self) -> BlindBaseline:
        """What can be told without the model: once for all attacks on every candidate."""
        seed = derive_seed(self._seed, "blind baseline")
        return blind_baseline(self._target.members, self._target.nonmembers, seed=seed)

    def _without_model(self, asked: Questions | None, blind: BlindBaseline) -> str:
        """What the blind baseline found; where records alone do not tell, the pairing with clients does."""
        if asked is None or not blind.shifted or self._blind.shifted:
            return blind.sentence
        return paired_sentence(blind)

    def _blind_about(self, asked: Questions, unit: Unit) -> BlindBaseline:
        """The same where each record is asked about with a client: once for each log."""
        key = unit.inputs["observation"][0]
        if key not in self._blinds:
            inside = asked.owner >= 0
            records = self._game.candidates[asked.index]
            self._blinds[key] = blind_baseline(
                records[inside],
                records[~inside],
                seed=derive_seed(self._seed, "blind baseline of rounds"),
                asked=(asked.asked[inside], asked.asked[~inside]),
            )
        return self._blinds[key]

    def _keep(self, row: PlannedAttack, asked: Questions | None, is_member: Tensor, scores: MembershipScores) -> None:
        """For the assessor: scores by position among the candidates, with the truth."""
        places = torch.arange(len(is_member)) if asked is None else asked.index
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["candidate", "is_member", "score"])
        rows = zip(places.tolist(), is_member.tolist(), scores.scores.tolist(), strict=True)
        writer.writerows([place, int(member), repr(score)] for place, member, score in rows)
        self._directory.write_restricted(f"{restricted_name(row)}.csv", text.getvalue().encode())


def _with_floor(found: Measurement, blind: BlindBaseline) -> Measurement:
    """Where the samples differ by themselves, that difference is the floor, not a guess."""
    if not blind.shifted:
        return found
    same = next((m for m in blind.measures.measurements if m.key == found.key), None)
    if same is None or same.value is None or same.value <= (found.floor or 0.0):
        return found
    return found.model_copy(update={"floor": same.value, "floor_is": "telling the two samples apart without the model"})


def paired_sentence(blind: BlindBaseline) -> str:
    """Where members and others are alike, and only record and asked client together tell them apart."""
    area = next(m for m in blind.measures.measurements if m.metric == "auc")
    assert area.value is not None
    assert area.interval is not None
    found = f"AUC {area.value:.3f} [{area.interval.low:.3f}, {area.interval.high:.3f}]"
    return (
        f"Record and client together tell members from others without any model ({found}), although the records alone "
        "do not: labels are spread unevenly over the clients, and a member is asked about with its own client. The "
        "attacks are read against this figure; it is no fault of the samples."
    )


def restricted_name(row: PlannedAttack) -> str:
    """Where what only the assessor sees of an attack is kept, without its suffix."""
    return f"{row.scenario}/{row.attack.replace('/', '.')}@{row.state}"
