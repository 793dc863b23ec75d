"""What a run leaves undone, and how long that takes."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Left:
    """Units of one stage that the budget did not allow, or cut short.

    Attributes:
        stage: Its name.
        units: How many.
        seconds: Estimated, on the workers of this run.
    """

    stage: str
    units: int
    seconds: float


def told(left: Sequence[Left], *, failed: int, minutes: float) -> list[str]:
    """Sentences for the end of a run that is not complete.

    Args:
        left: What the budget left.
        failed: Units that failed; running again tries them again.
        minutes: The budget of one run.
    """
    lines = []
    if left:
        parts = ", ".join(f"{one.stage} ({_units(one.units)}, {span(one.seconds)})" for one in left)
        whole = sum(one.seconds for one in left)
        lines.append(f"Left for want of time: {parts}; together {span(whole)}.")
        if whole > 60 * minutes:
            times = -(-whole // (60 * minutes))
            lines.append(f"budget.minutes is {minutes:g}: raise it, or run again about {times:.0f} times.")
    if failed:
        lines.append(f"{_units(failed)} failed for the reasons above; running again tries them again.")
    return lines


def _units(count: int) -> str:
    return "1 unit" if count == 1 else f"{count} units"


def span(seconds: float) -> str:
    """A rough length of time for people."""
    if seconds < 1:
        return "under a second"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


class TimeLeft:
    """Seconds that a stage still takes, from what was expected and what its units took; it moves without jumps.

    The expectation counts like a few units that are done, so that a first quick unit does not promise an end that
    the slow ones then move away; and of each new estimate only a part is taken over.
    """

    _EXPECTED_AS_UNITS = 3
    _TAKEN_OVER = 0.3

    def __init__(self, *, units: int, expected: float, now: float) -> None:
        self._units = units
        self._each = expected / units if units else 0.0
        self._start = self._told_at = now
        self._done = 0
        self._shown: float | None = expected or None

    def unit_ended(self, now: float) -> float:
        """One more unit has ended; returns the seconds left."""
        self._done += 1
        weight = self._EXPECTED_AS_UNITS if self._each else 0
        each = (weight * self._each + now - self._start) / (weight + self._done)
        fresh = each * (self._units - self._done)
        if self._shown is not None and self._done < self._units:
            counted_down = max(0.0, self._shown - (now - self._told_at))
            fresh = counted_down + self._TAKEN_OVER * (fresh - counted_down)
        self._shown, self._told_at = fresh, now
        return fresh
