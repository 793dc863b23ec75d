"""Where truth and attack outputs meet: finished units become outcomes."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from auditor.attacks.base import AsksProperty, Attack, ReadsPrior
from auditor.attacks.registry import available
from auditor.core.errors import AttackDoesNotApply
from auditor.core.measurement import Outcome, OutcomeStatus
from auditor.core.seeds import derive_seed
from auditor.engine.adversary import references_of
from auditor.engine.answers import Answers, Measured, restricted_name
from auditor.engine.executors import failure
from auditor.engine.fit import misfit
from auditor.engine.game import Game
from auditor.engine.outputs import predicted_classes
from auditor.engine.packing import unpack, unpack_output, unpack_queries, unpack_truth
from auditor.engine.plan import Plan, PlannedAttack
from auditor.engine.replicas import across_trainings
from auditor.engine.session import Session
from auditor.engine.units import Unit
from auditor.engine.work import Work, reference_units
from auditor.metrics.choices import measure_shares
from auditor.metrics.identification import measure_identification
from auditor.metrics.labels import measure_labels
from auditor.metrics.reconstruction import measure_reconstruction
from auditor.observations.records import Records
from auditor.observations.returned import (
    AttackOutput,
    Attributions,
    InferredShare,
    MembershipScores,
    Reconstruction,
    RecoveredLabels,
)
from auditor.store.journal import JournalEntry, UnitStatus
from auditor.store.run_directory import RunDirectory
from auditor.targets.target import Target

_NOTES = 8


@dataclass(frozen=True)
class Ended:
    """The units of one planned attack that gave an output.

    Attributes:
        outputs: With the index of the observation that each belongs to.
        notes: Sentences of the attack and of the engine.
        cut: The time budget ended every one of them early.
    """

    outputs: Mapping[int, AttackOutput]
    entries: tuple[JournalEntry, ...]
    iterations: int
    notes: tuple[str, ...]
    cut: bool


class Measurer:
    """Turns what a session finished into one outcome for each planned attack."""

    def __init__(
        self,
        plan: Plan,
        work: Work,
        session: Session,
        *,
        target: Target,
        game: Game,
        directory: RunDirectory,
        seed: int,
    ) -> None:
        self._plan = plan
        self._work = work
        self._session = session
        self._target = target
        self._game = game
        self._directory = directory
        self._seed = seed
        self._answers = Answers(target, game, directory=directory, seed=seed)

    def outcomes(self) -> tuple[Outcome, ...]:
        """One outcome for each planned attack, in the order of the plan."""
        return tuple(self._outcome(row) for row in self._plan.attacks)

    def _outcome(self, row: PlannedAttack) -> Outcome:
        blank = self._blank(row)
        if not row.runs:
            return blank.model_copy(update={"status": row.status, "reasons": row.reasons})
        units = self._work.attacks[row.key]
        beside = self._beside_the_point(units)
        if len(beside) == len(units):
            return blank.model_copy(update={"status": OutcomeStatus.NOT_APPLICABLE, "reasons": _each_once(beside)})
        if reasons := self._failures([unit for unit in units if unit.key not in beside]):
            return blank.model_copy(update={"status": OutcomeStatus.FAILED, "reasons": reasons})
        ended = self._ended(units)
        if not ended.outputs:
            return blank.model_copy(update={"status": OutcomeStatus.NOT_RUN, "reasons": (self._budget(row),)})
        try:
            measured = self._measured(row, units, ended.outputs)
        except Exception as error:  # isolation: what one metric cannot read must not cost the other outcomes
            return blank.model_copy(update={"status": OutcomeStatus.FAILED, "reasons": (failure(error),)})
        return blank.model_copy(
            update={
                "status": OutcomeStatus.MEASURED,
                "measurements": measured.measurements,
                "arrays": measured.arrays,
                "observations": len(ended.outputs),
                "effort": self._effort(row, ended),
                "notes": (*ended.notes, *measured.notes, *_left_out(beside, len(units))),
                "cut_short": ended.cut,
                "doubt": measured.doubt,
            }
        )

    def _blank(self, row: PlannedAttack) -> Outcome:
        entry = available().get(row.attack)
        attack: type[Attack] | None = entry.attack if entry else None
        parameters = self._plan.parameters.get(row.attack)
        return Outcome(
            scenario=row.scenario,
            attack=row.attack,
            state=row.state,
            status=OutcomeStatus.NOT_RUN,
            parameters=parameters.model_dump(mode="json") if parameters else {},
            title=attack.title if attack else "",
            paper=attack.paper if attack else "",
            attack_class=attack.attack_class if attack else "",
            control="positive" if row.control else "",
            experimental=getattr(attack, "experimental", False),
        )

    # How the units ended

    def _beside_the_point(self, units: Sequence[Unit]) -> dict[str, str]:
        """Units whose observation showed that the attack does not apply to it, with the reason."""
        mark = AttackDoesNotApply.MARK
        reasons = {unit.key: self._session.failed.get(unit.key, "") for unit in units}
        return {key: why.removeprefix(mark) for key, why in reasons.items() if why.startswith(mark)}

    def _failures(self, units: Sequence[Unit]) -> tuple[str, ...]:
        """Why units failed, each reason once, with how many updates it hit where it did not hit all."""
        reasons = [self._session.failed[unit.key] for unit in units if unit.key in self._session.failed]
        whole = len(units)
        return tuple(
            reason if reasons.count(reason) == whole else f"{reason} ({reasons.count(reason)} of {whole} updates)"
            for reason in dict.fromkeys(reasons)
        )

    def _ended(self, units: Sequence[Unit]) -> Ended:
        """Outputs that count: where some updates were attacked in full, those that the budget cut short do not."""
        entries = {i: e for i, unit in enumerate(units) if (e := self._session.finished.get(unit.key)) is not None}
        whole = {i: entry for i, entry in entries.items() if entry.status is not UnitStatus.CUT}
        used = whole or entries
        notes: list[str] = []
        outputs: dict[int, AttackOutput] = {}
        iterations = 0
        for i, entry in sorted(used.items()):
            outputs[i], meta = unpack_output(self._directory.output_path(entry.key))
            notes += meta["notes"]
            iterations += int(meta.get("iterations", 0))
        if entries and not whole:
            notes.append("The time budget ended every run of this attack early; a longer run may find more.")
        if used and len(used) < len(units):
            notes.append(f"The time budget allowed {len(used)} of {len(units)} updates; run again to go on.")
        cut = bool(entries) and not whole
        return Ended(outputs, tuple(used.values()), iterations, tuple(dict.fromkeys(notes))[:_NOTES], cut)

    def _budget(self, row: PlannedAttack) -> str:
        if row.references:
            blocks = reference_units(self._work.references, row.references)
            done = sum(len(unit.details["indices"]) for unit in blocks if unit.key in self._session.finished)
            if done < row.references:
                return (
                    f"budget: {done} of {row.references} reference models fitted into budget.minutes; "
                    "run again with the same --out to go on"
                )
        return "budget: no time was left of budget.minutes; run again with the same --out to go on"

    def _effort(self, row: PlannedAttack, ended: Ended) -> dict[str, float]:
        effort = {"cpu_seconds": round(sum(entry.cpu_seconds for entry in ended.entries), 3)}
        if ended.iterations:
            effort["iterations"] = float(ended.iterations)
        if row.view == "queries":
            effort["queries"] = float(len(self._game.is_member))
        if row.references:
            blocks = reference_units(self._work.references, row.references)
            used = [self._session.finished[unit.key] for unit in blocks]
            effort["reference_models"] = float(row.references)
            effort["reference_cpu_seconds"] = round(sum(entry.cpu_seconds for entry in used), 3)
        return effort

    # Truth meets outputs

    def _measured(self, row: PlannedAttack, units: Sequence[Unit], outputs: Mapping[int, AttackOutput]) -> Measured:
        first = next(iter(outputs.values()))
        if isinstance(first, MembershipScores):
            own = self._answers.membership(row, units[0], first)
            more = across_trainings(
                row,
                first,
                plan=self._plan,
                work=self._work,
                session=self._session,
                directory=self._directory,
                game=self._game,
            )
            return replace(
                own,
                measurements=(*own.measurements, *more.measurements),
                notes=(*own.notes, *more.notes),
                doubt=self._misfit(row, units[0]),
            )
        if isinstance(first, Attributions):
            return self._answers.attributions(row, units[0], first)
        path = self._directory.output_path(units[0].inputs["observation"][0])
        truths = [unpack_truth(path, index) for index in outputs]
        if isinstance(first, RecoveredLabels):
            counts = [output for output in outputs.values() if isinstance(output, RecoveredLabels)]
            return Measured(
                measure_labels(
                    counts,
                    truths,
                    classes=self._target.model.shape.classes,
                    population=self._target.population.labels,
                )
            )
        if isinstance(first, InferredShare):
            shares = [output for output in outputs.values() if isinstance(output, InferredShare)]
            return Measured(measure_shares(shares, self._true_shares(row, units[0], truths)))
        found = [output for output in outputs.values() if isinstance(output, Reconstruction)]
        self._keep_reconstructions(row, found)
        attack = _attack_of(row, units[0])
        if isinstance(attack, ReadsPrior):
            # The true record is among the candidates, so likeness to it says nothing; the right choice does.
            size = min(attack.prior_records(), 1 + len(self._target.population))
            return Measured(measure_identification(found, truths, candidates=size))
        seed = derive_seed(self._seed, "measure", row.attack, str(row.state), row.view)
        return Measured(
            measure_reconstruction(
                found, truths, population=self._target.population, model=self._target.model, seed=seed
            )
        )

    def _misfit(self, row: PlannedAttack, unit: Unit) -> str:
        """Why reference models tell little of weights that were given; empty where they fit or are not read."""
        if self._target.weights is None or "references" not in unit.inputs or row.view != "queries":
            return ""
        locate = self._directory.output_path
        answered = unpack_queries(unpack(locate(unit.inputs["observation"][0])))
        return misfit(answered.losses, self._game.is_member, references_of(unit, locate=locate, device="cpu"))

    def _true_shares(self, row: PlannedAttack, unit: Unit, truths: Sequence[Records]) -> list[float]:
        """Of the records behind each update, those with the property that the attack asked about."""
        attack = _attack_of(row, unit)
        assert isinstance(attack, AsksProperty)
        asked = attack.asked_property(self._target.model.preprocessing.columns, self._target.population)
        return [float(asked.holds(truth).double().mean()) for truth in truths]

    def _keep_reconstructions(self, row: PlannedAttack, found: Sequence[Reconstruction]) -> None:
        """For the assessor: the reconstructed records of each update, in model units."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {f"update_{i}": item.inputs.numpy() for i, item in enumerate(found)}
        np.savez_compressed(buffer, **arrays)
        self._directory.write_restricted(f"{restricted_name(row)}.npz", buffer.getvalue())

    # The model itself

    def utility(self) -> dict[str, float]:
        """Accuracy and mean loss of the audited model on members and on non-members; empty where it failed.

        Beside each, over how many records, and the share of their commonest class: what a constant answer gets right.
        """
        if self._work.queries.key not in self._session.finished:
            return {}
        queries = unpack_queries(unpack(self._directory.output_path(self._work.queries.key)))
        figures: dict[str, float] = {}
        for name, which in (("members", self._game.is_member), ("nonmembers", ~self._game.is_member)):
            if not bool(which.any()):
                continue
            if self._target.model.shape.task == "classification":
                right = predicted_classes(queries.outputs[which]) == queries.labels[which]
                figures[f"accuracy_{name}"] = float(right.double().mean())
                counts = queries.labels[which].long().flatten().bincount()
                figures[f"commonest_class_{name}"] = float(counts.max() / counts.sum())
            figures[f"loss_{name}"] = float(queries.losses[which].double().mean())
            figures[f"records_{name}"] = float(which.sum())
        return figures


def _each_once(reasons: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reasons.values()))


def _left_out(reasons: Mapping[str, str], whole: int) -> tuple[str, ...]:
    """What the figures of the other updates leave out."""
    return tuple(
        f"The attack does not apply to {list(reasons.values()).count(why)} of {whole} updates: {why}."
        for why in dict.fromkeys(reasons.values())
    )


def _attack_of(row: PlannedAttack, unit: Unit) -> Attack:
    kind = available()[row.attack].attack
    assert kind is not None
    return kind(kind.Params.model_validate(unit.details["parameters"]))
