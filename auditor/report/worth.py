"""What the model is worth, beside what a constant answer gets right: a model that learned nothing leaks little."""

import math
from dataclasses import dataclass

from auditor.core.results import Results
from auditor.report.describe import sentence_case
from auditor.report.formatting import number, percent, quantity

_BESIDE = ("commonest_class", "records")
_WIDTH = 1.96
"""Standard errors of a share that stand for chance."""


@dataclass(frozen=True)
class WorthRow:
    """One figure of the model with the records behind it, and the share of their commonest class."""

    name: str
    value: str
    records: str
    baseline: str


def worth_rows(results: Results) -> list[WorthRow]:
    """The rows of the table; runs of older versions have no baseline."""
    utility = results.target.utility
    rows = []
    for key, value in sorted(utility.items()):
        measure, _, part = key.partition("_")
        if key.startswith(_BESIDE):
            continue
        is_share = "accuracy" in key
        records = utility.get(f"records_{part}")
        baseline = utility.get(f"commonest_class_{part}") if measure == "accuracy" else None
        rows.append(
            WorthRow(
                name=sentence_case(key.replace("_", " ")).rstrip("."),
                value=quantity(value, "fraction" if is_share else "1"),
                records="–" if records is None else number(records),
                baseline="–" if baseline is None else percent(baseline),
            )
        )
    return rows


def no_better_than_constant(results: Results) -> bool:
    """Is the model's accuracy on non-members not clearly above the share of their commonest class?"""
    utility = results.target.utility
    accuracy, baseline = utility.get("accuracy_nonmembers"), utility.get("commonest_class_nonmembers")
    records = utility.get("records_nonmembers")
    if accuracy is None or baseline is None or not records:
        return False
    return accuracy <= baseline + _WIDTH * math.sqrt(baseline * (1 - baseline) / records)
