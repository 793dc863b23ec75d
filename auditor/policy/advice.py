"""What can be done: every advice names the setting to change and its value now. Effects are never promised."""

import math
from collections.abc import Mapping
from typing import Any

from auditor.core.findings import FindingStatus
from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.policy.judgement import records_needed
from auditor.policy.words import quantity

_UNMEASURED_EFFECT = "Expected, not measured: run the audit again after the change."


class Adviser:
    """Advice for one audit.

    Args:
        settings: The settings as a JSON value.
        positions: Setting path to its place in the file.
    """

    def __init__(self, settings: Mapping[str, Any], positions: Mapping[str, str]) -> None:
        self._settings = settings
        self._positions = positions

    def setting(self, path: str) -> Any:
        """The value of ``a.b.c``; None where there is none."""
        value: Any = self._settings
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def named(self, path: str) -> str:
        """``a.b.c (now 5, audit.yaml:14:3)``, with the place only where the file has the setting."""
        value = self.setting(path)
        now = "not set" if value is None else f"now {_written(value)}"
        place = self._positions.get(path)
        return f"{path} ({now}, {place})" if place else f"{path} ({now})"

    def when_unmeasured(self, outcome: Outcome) -> str:
        """For an attack that gave no figure."""
        if outcome.status == OutcomeStatus.NOT_APPLICABLE:
            return ""
        if outcome.status == OutcomeStatus.NOT_RUN:
            return f"To run it, raise {self.named('budget.minutes')} or name it in attacks, and run again."
        return "Mend the reason given and run again: finished work is kept."

    def about(self, outcome: Outcome, measurement: Measurement, status: FindingStatus, *, limit: float) -> str:
        """For a figure against its limit."""
        match status:
            case FindingStatus.EXCEEDS:
                return self._lower(outcome)
            case FindingStatus.INCONCLUSIVE:
                return self._settle(outcome, measurement, limit)
        return ""

    def _lower(self, outcome: Outcome) -> str:
        steps = self._for_membership() if outcome.attack_class == "membership" else self._for_updates()
        return f"Change one or more of these: {'; '.join(steps)}. {_UNMEASURED_EFFECT}"

    def _settle(self, outcome: Outcome, measurement: Measurement, limit: float) -> str:
        if measurement.floor is not None and not measurement.refused and _no_worse(limit, measurement):
            return (
                f"A guess without the attack already reaches {quantity(measurement.floor, measurement.unit)}. For an "
                f"answer on this target, set a limit beyond it in scenario '{outcome.scenario}' before the next run."
            )
        needed = records_needed(measurement, limit)
        if needed is not None and needed > measurement.n:
            more = _more(needed / measurement.n)
            return f"{more} would settle it if the rate stays: {self._where_to_add(outcome)}."
        if measurement.refused:
            return f"Add to the sample: {self._where_to_add(outcome)}."
        if outcome.cut_short:
            return f"Raise {self.named('budget.minutes')} and run again."
        return ""

    def _where_to_add(self, outcome: Outcome) -> str:
        if outcome.attack_class == "membership":
            return f"records in {self.named('target.data.members')} and {self.named('target.data.nonmembers')}"
        return f"attacked updates in {self.named('budget.updates')}"

    def _for_membership(self) -> list[str]:
        return [*self._noise(), f"fewer rounds: {self.named('federation.rounds')}"]

    def _for_updates(self) -> list[str]:
        steps = []
        secure = "federation.aggregation.secure.enabled"
        if not self.setting(secure):
            steps.append(f"sum updates before the server reads them: {self.named(secure)}")
        steps.append(f"larger batches: {self.named('federation.local.batch_size')}")
        return [*steps, *self._noise()]

    def _noise(self) -> list[str]:
        if self.setting("privacy.mechanism") in {None, "none"}:
            return [f"add noise: {self.named('privacy.mechanism')}, with privacy.noise_multiplier and privacy.clipping"]
        return [f"more noise: {self.named('privacy.noise_multiplier')}"]


def _more(times: float) -> str:
    """How many more, roughly: never to more digits than a forecast deserves."""
    if times < 2:
        return f"About {math.ceil((times - 1) * 10) * 10} % more"
    return f"About {math.ceil(times):,} times as many"


def _no_worse(limit: float, measurement: Measurement) -> bool:
    """Does the figure without any attack already reach the limit?"""
    floor = measurement.floor if measurement.floor is not None else limit
    return floor >= limit if measurement.higher_is_worse else floor <= limit


def _written(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Mapping():
            return ", ".join(f"{key}: {_written(item)}" for key, item in value.items() if item is not None) or "empty"
    return str(value)
