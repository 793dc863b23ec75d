"""What this run measured against sums of updates: advice to sum them quotes it instead of expecting something."""

from collections.abc import Mapping
from typing import NamedTuple

from auditor.core.findings import FindingStatus
from auditor.core.measurement import Measurement, Outcome
from auditor.core.results import Results, ScenarioSummary
from auditor.core.shape import ModelState
from auditor.policy import keys
from auditor.policy.judgement import judge
from auditor.policy.phrases import with_interval
from auditor.policy.roles import is_measured, is_test, powerless
from auditor.policy.statements import counted
from auditor.policy.words import quantity

Target = tuple[str, ModelState | None]
"""An attack and the state of the model that it met."""


class Summed(NamedTuple):
    """One figure against the sum of a round, beside the limit of its own scenario."""

    scenario: str
    measurement: Measurement
    limit: float
    status: FindingStatus


def summed(results: Results) -> Mapping[Target, Summed]:
    """For each attack of this run that met the sum of updates and no single one, its first figure with a limit."""
    weak = powerless(results.outcomes)
    only_sums = {
        scenario.name: scenario
        for scenario in results.scenarios
        if "aggregate_update" in scenario.grants and "client_update" not in scenario.grants and not scenario.control
    }
    found: dict[Target, Summed] = {}
    for outcome in results.outcomes:
        scenario = only_sums.get(outcome.scenario)
        if scenario is None or not is_measured(outcome) or not is_test(outcome):
            continue
        known = _figure(outcome, scenario, weak=outcome.attack in weak)
        if known is not None:
            found.setdefault((outcome.attack, outcome.state), known)
    return found


def _figure(outcome: Outcome, scenario: ScenarioSummary, *, weak: bool) -> Summed | None:
    for threshold in scenario.thresholds:
        for measurement in outcome.measurements:
            if keys.of(measurement) != keys.parsed(threshold.metric) or measurement.value is None:
                continue
            limit = threshold.against(measurement.floor)
            status = judge(measurement, limit).status
            doubtful = weak or outcome.cut_short or outcome.experimental or bool(outcome.doubt)
            if status == FindingStatus.WITHIN and doubtful:
                status = FindingStatus.INCONCLUSIVE
            return Summed(scenario.name, measurement, limit, status)
    return None


def effect_of_summing(found: Summed) -> str:
    """The figure with its interval, its number of trials, and how it stands to its limit."""
    measurement = found.measurement
    stands = {
        FindingStatus.WITHIN: "within the limit",
        FindingStatus.EXCEEDS: "above the limit",
    }.get(found.status, "inconclusive against the limit")
    guess = "" if measurement.floor is None else f"; a guess reaches {quantity(measurement.floor, measurement.unit)}"
    return (
        f"measured in this run for {found.scenario}: {with_interval(measurement, limit=found.limit)}, over "
        f"{counted(measurement)}, {stands} of {quantity(found.limit, measurement.unit)}{guess}"
    )
