"""From when a provision applies, and whether that day has come."""

import datetime
import re
from collections.abc import Sequence

_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}(?=\s|$)")
_UNSETTLED = re.compile(r"\bformally\b|\bpractical\b")
UNCLEAR = "unclear"


def leading_date(text: str) -> datetime.date | None:
    """The ISO date that ``text`` begins with; None where there is none.

    Raises:
        ValueError: for a date that no calendar has.
    """
    match = _DATE.match(text)
    return datetime.date.fromisoformat(match[0]) if match else None


def applicable(applies_from: Sequence[str], today: datetime.date) -> bool | None:
    """True where every date has passed, False where none has, None where that is unclear or depends on the case.

    A date that is only formal ("formally ...; practical duty follows ...") never counts as passed for sure.
    """
    dates = [leading_date(text) for text in applies_from]
    if not dates or None in dates:
        return None
    passed = [date is not None and date <= today for date in dates]
    if not any(passed):
        return False
    return True if all(passed) and not any(_UNSETTLED.search(text) for text in applies_from) else None


def written(date: datetime.date) -> str:
    """``2 December 2027``."""
    return f"{date.day} {date:%B} {date.year}"
