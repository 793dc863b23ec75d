"""Overrides of a proposed likelihood or severity, by named people. The computed value stays beside each.

An override ends on its last day, and at once where the model or the protocol changes. Lowering needs a second person.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from auditor.core.findings import RiskCell
from auditor.core.results import Results
from auditor.policy.risk import zone
from auditor.policy.signed import Signed, Words, load_signed

Level = Annotated[int, Field(ge=1, le=4)]


class Override(Signed):
    """One override.

    Attributes:
        actor, attack_class: Which cell.
        quantity: What is overridden.
        computed, value: From and to; ``computed`` is None where the rule found no value.
        evidence: What it rests on, by id or title.
        second_person: Who else agreed; needed to lower.
        model_sha256, protocol_sha256: What it was decided for.
    """

    actor: Words
    attack_class: Words
    quantity: Literal["likelihood", "severity"]
    computed: Level | None
    value: Level
    evidence: Words
    second_person: str = ""
    model_sha256: Words
    protocol_sha256: Words

    @property
    def lowers(self) -> bool:
        """Is the value below the computed one, or set where none could be computed?"""
        return self.computed is None or self.value < self.computed


class OverriddenCell(NamedTuple):
    """A cell as computed, and as people decided.

    Attributes:
        cell: As computed; never changed.
        overrides: Those that count.
    """

    cell: RiskCell
    likelihood: int | None
    severity: int
    zone: str
    overrides: tuple[Override, ...]


class Overridden(NamedTuple):
    """All cells, and the overrides that count for nothing, each with the reason."""

    cells: tuple[OverriddenCell, ...]
    void: tuple[str, ...]


def load_overrides(path: Path) -> tuple[Override, ...]:
    """Read ``overrides: [...]``.

    Raises:
        AuditorError: when the file cannot be read, or a statement does not fit.
    """
    return load_signed(path, Override, key="overrides")


def overridden(results: Results, overrides: Sequence[Override], *, today: datetime.date) -> Overridden:
    """The risk cells of a judged run with the overrides that count today."""
    reasons = {override: _why_void(override, results, overrides, today) for override in overrides}
    valid = [override for override, why in reasons.items() if not why]
    return Overridden(
        cells=tuple(_cell(cell, [o for o in valid if _is_for(o, cell)]) for cell in results.risks),
        void=tuple(f"{o.actor}, {o.attack_class}, {o.quantity}: {why}" for o, why in reasons.items() if why),
    )


def _cell(cell: RiskCell, overrides: Sequence[Override]) -> OverriddenCell:
    values = {override.quantity: override.value for override in overrides}
    likelihood = values.get("likelihood", cell.likelihood)
    severity = values.get("severity", cell.severity)
    asked = zone(likelihood, severity, unknown=cell.zone)
    return OverriddenCell(cell, likelihood, severity, asked, tuple(overrides))


def _why_void(override: Override, results: Results, others: Sequence[Override], today: datetime.date) -> str:
    cell = next((cell for cell in results.risks if _is_for(override, cell)), None)
    if cell is None:
        return "this run has no such cell"
    if any(o is not override and _same(o, override) for o in others):
        return "there are two overrides of it"
    found = cell.likelihood if override.quantity == "likelihood" else cell.severity
    if found != override.computed:
        return f"it was decided when the rule gave {override.computed}; now it gives {found}"
    return _why_ended(override, results) or _why_alone(override) or override.why_void(today)


def _why_ended(override: Override, results: Results) -> str:
    if override.model_sha256 not in {results.target.weights_sha256, results.target.model_sha256}:
        return "the model changed since it was decided"
    return (
        "" if override.protocol_sha256 == results.run.protocol_sha256 else "the protocol changed since it was decided"
    )


def _why_alone(override: Override) -> str:
    second = override.second_person.strip()
    if override.lowers and (not second or second.casefold() == override.person.casefold()):
        return "lowering needs a second person"
    return ""


def _is_for(override: Override, cell: RiskCell) -> bool:
    return (override.actor, override.attack_class) == (cell.actor, cell.attack_class)


def _same(one: Override, other: Override) -> bool:
    return (one.actor, one.attack_class, one.quantity) == (other.actor, other.attack_class, other.quantity)
