"""What people decided about a run: accepted findings and overridden values, from one file.

The file is written by people (``decisions.yaml``). A run keeps what it read, with the day on which it counted, in
``decisions.json``; the results themselves are never changed by it.
"""

import datetime
import json
from pathlib import Path
from typing import Any, NamedTuple

from auditor.core.errors import AuditorError, SettingsError, StoreError
from auditor.core.results import Results
from auditor.policy.acceptances import Acceptance, Accepted, split
from auditor.policy.overrides import Overridden, Override, overridden
from auditor.policy.signed import read_yaml, statements

SCHEMA = "auditor.decisions/1"
FILE = "decisions.json"
KINDS = ("accepted", "overrides")


class Decisions(NamedTuple):
    """What a file says.

    Attributes:
        as_of: The day on which it is asked what counts.
    """

    accepted: tuple[Acceptance, ...]
    overrides: tuple[Override, ...]
    as_of: datetime.date

    def to_json(self) -> dict[str, Any]:
        """The content of ``decisions.json``."""
        return {
            "schema": SCHEMA,
            "as_of": self.as_of.isoformat(),
            "accepted": [json.loads(each.model_dump_json()) for each in self.accepted],
            "overrides": [json.loads(each.model_dump_json()) for each in self.overrides],
        }


class Decided(NamedTuple):
    """Decisions applied to a run.

    Attributes:
        void: Statements that count for nothing, each with the reason.
    """

    as_of: datetime.date
    accepted: Accepted
    overridden: Overridden

    @property
    def void(self) -> tuple[str, ...]:
        return (*self.accepted.void, *self.overridden.void)

    @property
    def told(self) -> tuple[str, ...]:
        """What a command says of it: findings that people accepted, values that they set, what counts for nothing."""
        accepted = (
            f"Accepted by {by.person} until {by.expires}: {finding.id}." for finding, by in self.accepted.accepted
        )
        values = (
            f"{o.quantity.capitalize()} of {o.attack_class}, {o.actor}: {o.value} in place of "
            f"{'none' if o.computed is None else o.computed}, by {o.person} until {o.expires}."
            for o in self.overrides
        )
        return (*accepted, *values, *(f"A decision counts for nothing. {why}." for why in self.void))

    @property
    def accepted_ids(self) -> frozenset[str]:
        """Findings that a valid acceptance covers."""
        return frozenset(finding.id for finding, _ in self.accepted.accepted)

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Overrides that count."""
        return tuple(override for cell in self.overridden.cells for override in cell.overrides)


def load_decisions(path: Path, *, as_of: datetime.date) -> Decisions:
    """Read ``decisions.yaml``: lists under ``accepted`` and ``overrides``, each optional.

    Raises:
        AuditorError: when the file cannot be read, or holds another block.
        SettingsError: naming every statement and field that does not fit.
    """
    return _decisions(read_yaml(path), path.name, as_of)


def read_decisions(run_dir: Path) -> Decisions | None:
    """What a run kept; None where nobody decided anything.

    Raises:
        StoreError: for a damaged file.
    """
    path = run_dir / FILE
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_bytes())
        if value.pop("schema") != SCHEMA:
            raise ValueError(f"it is not {SCHEMA}")
        return _decisions(value, FILE, datetime.date.fromisoformat(value.pop("as_of")))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, AuditorError) as error:
        raise StoreError(
            f"{path} cannot be used: {error}", remedy="Write it again with auditor report RUN_DIR --decisions FILE."
        ) from None


def _decisions(value: dict[str, Any], name: str, as_of: datetime.date) -> Decisions:
    problems = [
        f"{name}: {key!r} is no block of decisions; use {' or '.join(KINDS)}" for key in value.keys() - {*KINDS}
    ]
    lists = {key: value.get(key) or [] for key in KINDS}
    problems += [f"{name}: {key} is not a list" for key, each in lists.items() if not isinstance(each, list)]
    if problems:
        raise SettingsError(sorted(problems))
    accepted = statements(lists["accepted"], Acceptance, where=f"{name}: accepted", problems=problems)
    overrides = statements(lists["overrides"], Override, where=f"{name}: overrides", problems=problems)
    if problems:
        raise SettingsError(problems)
    return Decisions(accepted, overrides, as_of)


def decide(results: Results, decisions: Decisions) -> Decided:
    """Apply decisions to a judged run; what expired or fits nothing is named and counts for nothing."""
    day = decisions.as_of
    accepted = split(results.findings, decisions.accepted, today=day)
    return Decided(day, accepted, overridden(results, decisions.overrides, today=day))
