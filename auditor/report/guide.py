"""The reading guide: each kind of measure of a run once, with what it means and what can be done."""

from dataclasses import dataclass

from auditor.core.results import Results
from auditor.report.describe import metric_key
from auditor.report.strings import Strings

BESIDE = ("blind_", "control_")
"""Prefixes of what is measured beside an attack; high or low, it says nothing about leakage."""


@dataclass(frozen=True)
class Guide:
    """One measure by its short name; measures of one name share an entry. ``good``: higher means less leakage."""

    name: str
    means: str
    can: str
    good: bool


def metrics_guide(results: Results, words: Strings) -> list[Guide]:
    """Every measure that the run used, in the order of the attacks."""
    known: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    good: set[str] = set()
    for measurement in (m for outcome in results.outcomes for m in outcome.measurements):
        key = metric_key(measurement.metric, words)
        name = words.plain(f"metrics.{key}.short", metric=measurement.metric.replace("_", " "))
        means, can = known.setdefault(name, ({}, {}))
        means[words.plain(f"metrics.{key}.means")] = None
        if not measurement.higher_is_worse and not measurement.metric.startswith(BESIDE):
            good.add(name)
        can[words.plain(f"metrics.{key}.can")] = None
    return [Guide(name, " ".join(means), " ".join(can), name in good) for name, (means, can) in known.items()]
