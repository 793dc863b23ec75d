"""What can be done: every advice names the setting to change and its value now.

An effect is stated only where a sweep of the same run measured it; otherwise it is expected, not measured.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from auditor.core.findings import FindingStatus, Measure
from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.core.words import entry_of
from auditor.policy.judgement import records_needed
from auditor.policy.summed import Summed, Target, effect_of_summing
from auditor.policy.sweeps import Curve, effect
from auditor.policy.words import quantity, sentence

_HOPELESS = 100
"""From so many times the sample on, more of it is no advice."""


class Adviser:
    """Advice for one audit.

    Args:
        settings: The settings as a JSON value.
        positions: Setting path to its place in the file.
        curves: What the sweeps of the run measured.
        sums: What the run measured against sums of updates.
        records: That the audit holds, of all splits together; zero where that is not known.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        positions: Mapping[str, str],
        curves: Sequence[Curve] = (),
        sums: Mapping[Target, Summed] = MappingProxyType({}),
        *,
        records: int = 0,
    ) -> None:
        self._settings = settings
        self._positions = positions
        self._curves = curves
        self._sums = sums
        self._records = records

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

    def measures(self, outcome: Outcome, status: FindingStatus) -> tuple[Measure, ...]:
        """Changes that may lower a figure that exceeds its limit, each with what a sweep measured of it."""
        if status != FindingStatus.EXCEEDS:
            return ()
        steps = self._for_membership() if outcome.attack_class == "membership" else self._for_updates()
        return tuple(self._measure(action, setting, outcome) for action, setting in steps.items())

    def _measure(self, action: str, setting: str, outcome: Outcome) -> Measure:
        swept = _SWEPT_WITH.get(setting, setting)
        mine = (outcome.scenario, outcome.attack, outcome.state)
        found = [c for c in self._curves if c.sweep.setting == swept and (c.sweep.scenario, c.attack, c.state) == mine]
        value = self.setting(setting)
        known = "; ".join(f"{_tried(curve)}{effect(curve)}" for curve in found)
        helps = any(curve.within for curve in found) if found else None
        summed = self._sums.get((outcome.attack, outcome.state)) if setting == _SECURE else None
        if summed is not None and not found:
            known, helps = effect_of_summing(summed), summed.status == FindingStatus.WITHIN
        return Measure(
            action=action,
            setting=setting,
            now="not set" if value is None else _written(value),
            place=self._positions.get(setting, ""),
            effect=known,
            helps=helps,
        )

    def _lower(self, outcome: Outcome) -> str:
        measures = self.measures(outcome, FindingStatus.EXCEEDS)
        offered = [measure for measure in measures if measure.helps is not False]
        steps = "; ".join(f"{measure.action}: {self.named(measure.setting)}" for measure in offered)
        known = [f"{sentence(f'{m.action}: {m.effect}')}" for m in offered if m.effect]
        rest = "The other effects are e" if known else "E"
        unmeasured = f"{rest}xpected, not measured: run the audit again after the change."
        told = [
            *([f"Change one or more of these: {steps}."] if offered else []),
            *known,
            *([unmeasured] if len(known) < len(offered) else []),
            *(f"Tried, and not shown to keep the limit: {m.action}, {m.effect}." for m in measures if m.helps is False),
        ]
        return " ".join(told)

    def _settle(self, outcome: Outcome, measurement: Measurement, limit: float) -> str:
        if measurement.floor is not None and not measurement.refused and _no_worse(limit, measurement):
            return (
                f"A guess without the attack already reaches {quantity(measurement.floor, measurement.unit)}, so this "
                "limit cannot tell a leak from a guess on this target. Read the figure beside the guess; another limit "
                "needs a reason of its own, and wanting an answer is none."
            )
        needed = records_needed(measurement, limit)
        if needed is not None and needed > measurement.n:
            if needed > _HOPELESS * measurement.n:
                return "The figure sits on the limit: no sample of a usual size settles on which side."
            if outcome.attack_class == "membership" and 0 < self._records < needed:
                return (
                    f"This sample cannot tell: about {needed:,} {measurement.n_of.partition(',')[0]} would, and the "
                    f"audit holds {self._records:,} records in all. Where more can be had, add "
                    f"{self._where_to_add(outcome)}."
                )
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

    def _for_membership(self) -> dict[str, str]:
        return {**self._noise(), "fewer rounds": "federation.rounds"}

    def _for_updates(self) -> dict[str, str]:
        summed = {} if self.setting(_SECURE) else {"sum updates before the server reads them": _SECURE}
        return {**summed, "larger batches": "federation.local.batch_size", **self._noise(), **self._swept()}

    def _noise(self) -> dict[str, str]:
        if self.setting("privacy.mechanism") in {None, "none"}:
            return {"add noise by differential privacy": "privacy.mechanism"}
        return {"more noise": "privacy.noise_multiplier"}

    def _swept(self) -> dict[str, str]:
        """Other settings that a sweep of this run tried."""
        named = {curve.sweep.setting for curve in self._curves}
        return {words: setting for setting, words in _OTHERS.items() if setting in named}


_SECURE = "federation.aggregation.secure.enabled"
_SWEPT_WITH = {"privacy.mechanism": "privacy.noise_multiplier"}
"""Adding a mechanism is tried by sweeping its noise."""

_OTHERS = {
    "federation.clients": "another number of clients",
    "federation.local.epochs": "another number of local epochs",
    "federation.local.learning_rate": "another learning rate",
    "federation.local.momentum": "another momentum",
    "federation.update.quantise_bits": "coarser updates",
    "federation.update.top_k": "sending fewer coordinates",
    "federation.update.prune": "zeroing more coordinates",
    "privacy.clipping.norm": "another clipping norm",
}


def _tried(curve: Curve) -> str:
    if not curve.sweep.mechanism:
        return ""
    entry = entry_of(curve.sweep.mechanism)
    return f"with {entry.names[0] if entry else curve.sweep.mechanism} and {curve.sweep.setting} "


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
        case int():
            return f"{value:,}"
        case Mapping():
            return ", ".join(f"{key}: {_written(item)}" for key, item in value.items() if item is not None) or "empty"
    return str(value)
