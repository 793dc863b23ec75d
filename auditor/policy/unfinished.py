"""What an incomplete run lacks, in words."""

from auditor.core.measurement import Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.policy.words import clauses

LISTED = 5
"""So many missing parts are named; the others are counted."""


def unfinished(results: Results) -> str:
    """Why the run is not complete: attacks and audits of epsilon that failed, were left out or were cut short."""
    parts = [said for outcome in results.outcomes if (said := _attack(outcome))]
    parts += [
        f"the audit of epsilon '{audit.name}' has no figure, because {_plain(audit.reason)}"
        for audit in results.accounting.audits
        if audit.status == OutcomeStatus.FAILED or audit.reason.startswith(_BUDGET)
    ]
    parts = list(dict.fromkeys(parts))
    if not parts:
        return "its results do not say what is missing"
    more = f"; and {len(parts) - LISTED:,} more" if len(parts) > LISTED else ""
    return "; ".join(parts[:LISTED]) + more


_BUDGET = "budget:"
_CUT = "The time budget"


def _plain(reason: str) -> str:
    return reason.removeprefix(_BUDGET).strip().rstrip(".")


def _attack(outcome: Outcome) -> str:
    """The attack and what became of it; empty where nothing is missing."""
    name = f"{outcome.attack} for {outcome.scenario}{f' ({outcome.state.value} model)' if outcome.state else ''}"
    why = clauses(_plain(reason) for reason in outcome.reasons) or "no reason was recorded"
    if outcome.status == OutcomeStatus.FAILED:
        return f"{name} failed, because {why}"
    if outcome.status == OutcomeStatus.NOT_RUN and any(reason.startswith(_BUDGET) for reason in outcome.reasons):
        return f"{name} was not run, because {why}"
    return f"{name} was cut short by the time budget" if any(n.startswith(_CUT) for n in outcome.notes) else ""
