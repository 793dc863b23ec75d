"""The attack classes that authorities look at (EDPB Opinion 28/2024, par. 55), each run or not run, with the reason.

Class (i) is two rows here: attribute inference says nothing about membership inference, so they are never merged.
"""

from typing import NamedTuple

from auditor.core.findings import CoverageRow
from auditor.core.measurement import Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.core.shape import Task
from auditor.policy.roles import is_measured, is_test
from auditor.policy.words import listed


class AttackClass(NamedTuple):
    """One row of the table."""

    id: str
    attack_class: str
    title: str
    absent: str


CLASSES = (
    AttackClass(
        "i-membership",
        "membership",
        "(i) Membership inference",
        "no membership attack was planned in this run",
    ),
    AttackClass(
        "i-attribute",
        "attribute",
        "(i) Attribute inference",
        "no attribute-inference attack was planned in this run",
    ),
    AttackClass(
        "ii",
        "exfiltration",
        "(ii) Exfiltration of stored data",
        "the audit loads the model itself and does not see the system that serves it",
    ),
    AttackClass(
        "iii",
        "regurgitation",
        "(iii) Regurgitation of training data",
        "no attack that makes the model repeat its training data was planned in this run",
    ),
    AttackClass(
        "iv",
        "model_inversion",
        "(iv) Model inversion",
        "no attack that inverts the finished model was planned in this run",
    ),
    AttackClass(
        "v",
        "reconstruction",
        "(v) Reconstruction from updates",
        "no attack on the updates of training was planned in this run",
    ),
)


def coverage(results: Results) -> tuple[CoverageRow, ...]:
    """One row for each class, in the order of the opinion."""
    return tuple(_row(results, attack_class) for attack_class in CLASSES)


def _row(results: Results, row: AttackClass) -> CoverageRow:
    planned = [o for o in results.outcomes if o.attack_class == row.attack_class and is_test(o)]
    status, reason = _state(results, row, planned)
    attacks = tuple(dict.fromkeys(o.attack for o in planned if is_measured(o)))
    return CoverageRow(id=row.id, title=row.title, status=status, reason=reason, attacks=attacks)


def _state(results: Results, row: AttackClass, planned: list[Outcome]) -> tuple[str, str]:
    if not planned:
        if row.attack_class == "regurgitation" and results.target.shape.task != Task.LANGUAGE_MODEL:
            return "not_applicable", "the model gives scores and generates no content"
        return "not_run", row.absent
    measured = [outcome for outcome in planned if is_measured(outcome) and not outcome.experimental]
    others = _others(planned)
    if measured:
        scenarios = f"measured for {listed(sorted({outcome.scenario for outcome in measured}))}"
        narrow = _narrow(row, measured)
        return "partial" if narrow else "run", "; ".join([scenarios, *narrow, *others])
    if all(outcome.status == OutcomeStatus.NOT_APPLICABLE for outcome in planned):
        return "not_applicable", "; ".join(others) or "no installed attack of this class is for this kind of data"
    return "not_run", "; ".join(others) or "only an experimental attack of this class was run"


def _narrow(row: AttackClass, measured: list[Outcome]) -> list[str]:
    """What was inferred where no attack asked for an attribute of a person beyond label counts and the source."""
    kinds = {outcome.attack.rpartition("/")[2] for outcome in measured}
    if row.attack_class != "attribute" or not kinds <= _NARROW.keys():
        return []
    said = listed([words for kind, words in _NARROW.items() if kind in kinds])
    return [f"only {said} {'was' if len(kinds) == 1 else 'were'} inferred, no other attribute"]


_NARROW = {"labels": "the label counts of an update", "source": "the client that a record comes from"}


def _for_other_data(outcome: Outcome) -> bool:
    """Is the attack for another kind of data or task? Then it leaves nothing untested here."""
    return any("; the target is " in reason or "; the target's task is " in reason for reason in outcome.reasons)


def _others(planned: list[Outcome]) -> list[str]:
    """What became of the planned attacks of a class that gave no figure."""
    words = {
        OutcomeStatus.NOT_APPLICABLE: "does not apply",
        OutcomeStatus.FAILED: "failed",
        OutcomeStatus.NOT_RUN: "was not run",
    }
    lines = []
    for outcome in planned:
        if outcome.status in words and not _for_other_data(outcome):
            why = "; ".join(reason.rstrip(".") for reason in outcome.reasons) or "no reason was recorded"
            lines.append(f"{outcome.attack} ({outcome.scenario}) {words[outcome.status]}: {why}")
    return list(dict.fromkeys(lines))
