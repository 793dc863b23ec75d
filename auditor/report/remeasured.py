"""Which figures can be measured again without the model: membership, from the scores that the assessor keeps."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.metrics.roc import RocSample, area_under_curve, tpr_at_fpr
from auditor.report.check import Check
from auditor.report.differing import told

NAME = "membership figures follow from the scores in restricted/"
TOLERANCE = 1e-9

_REST = (
    "All other figures, with every interval, floor and note, were taken as results.json gives them: the checks below "
    "derive from them and do not measure them. To measure them again, copy this folder, drop the copy's signatures "
    "(auditor report COPY --discard-signatures) and run: auditor run AUDIT --out COPY. Finished work is read from "
    "units/, not done again, and the “outcomes” of the new results.json must equal the old ones."
)


def remeasured(run_dir: Path, results: Results) -> Iterator[Check]:
    """AUC and rates of each membership attack again from its scores; then a note on what that leaves out."""
    asked = [
        outcome for outcome in results.outcomes if outcome.status == OutcomeStatus.MEASURED and _has_rates(outcome)
    ]
    paths = {outcome.key: scores_of(run_dir, outcome) for outcome in asked}
    there = [outcome for outcome in asked if paths[outcome.key].is_file()]
    if there:
        lines = told(line for outcome in there for line in _differing(outcome, paths[outcome.key]))
        lacking = f" ({len(asked) - len(there)} without scores)" if len(there) < len(asked) else ""
        scope = f"the area under the curve and the rates of {len(there)} attacks{lacking}"
        yield Check(NAME, differs=lines, note="" if lines else scope)
    elif asked:
        yield Check(NAME, skipped="restricted/ holds no scores here; check where the run was made")
    yield Check("", note=_REST)


def scores_of(run_dir: Path, outcome: Outcome) -> Path:
    """Where a run keeps the scores of an attack, one row for each candidate."""
    name = f"{outcome.attack.replace('/', '.')}@{outcome.state}.csv"
    return run_dir / "restricted" / outcome.scenario / name


def _has_rates(outcome: Outcome) -> bool:
    return outcome.attack.startswith("membership/") and any(m.metric == "auc" for m in outcome.measurements)


def _differing(outcome: Outcome, path: Path) -> Iterator[str]:
    """Figures of one outcome that its scores do not give."""
    try:
        sample = _sample(path)
    except (OSError, ValueError, KeyError, TypeError):
        yield f"{outcome.key}: the scores cannot be read"
        return
    for measured in outcome.measurements:
        again = _again(measured, sample)
        if again is None or measured.value is None or math.isclose(measured.value, again, abs_tol=TOLERANCE):
            continue
        yield f"{measured.key} of {outcome.key} is {measured.value:.6g}; the scores give {again:.6g}"


def _sample(path: Path) -> RocSample:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["is_member"] == "1", float(row["score"])) for row in csv.DictReader(file)]
    is_member, scores = np.array([row[0] for row in rows], dtype=bool), np.array([row[1] for row in rows])
    return RocSample.of(scores[is_member], scores[~is_member])


def _again(measured: Measurement, sample: RocSample) -> float | None:
    if measured.metric == "auc":
        return area_under_curve(sample).value
    if measured.metric == "tpr_at_fpr":
        return tpr_at_fpr(sample, measured.at["fpr"]).tpr
    return None
