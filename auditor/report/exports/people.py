"""What people decided about a run, for the formats of other tools."""

from typing import Any, NamedTuple

from auditor.policy.acceptances import Acceptance
from auditor.policy.decisions import Decided
from auditor.report.strings import Strings


class Accepted(NamedTuple):
    """An acceptance that counts, with its sentence."""

    acceptance: Acceptance
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Who, as what, why, from when and until when."""
        by = self.acceptance
        return {
            "person": by.person,
            "role": by.role,
            "reason": by.reason,
            "date": by.date.isoformat(),
            "expires": by.expires.isoformat(),
        }


def accepted_in(decided: Decided | None, words: Strings) -> dict[str, Accepted]:
    """Finding id to the acceptance that covers it; empty where nobody decided anything."""
    if decided is None:
        return {}
    return {
        finding.id: Accepted(
            acceptance,
            words.plain(
                "exports.accepted",
                person=acceptance.person,
                role=acceptance.role,
                date=acceptance.date.isoformat(),
                until=acceptance.expires.isoformat(),
                reason=acceptance.reason,
            ),
        )
        for finding, acceptance in decided.accepted.accepted
    }


def overridden_in(decided: Decided) -> list[dict[str, Any]]:
    """Overrides that count, each with the computed value beside the decided one."""
    return [
        {
            "actor": override.actor,
            "attackClass": override.attack_class,
            "quantity": override.quantity,
            "computed": override.computed,
            "value": override.value,
            "person": override.person,
            "secondPerson": override.second_person,
            "role": override.role,
            "reason": override.reason,
            "date": override.date.isoformat(),
            "expires": override.expires.isoformat(),
        }
        for override in decided.overrides
    ]
