"""Membership figures are measured again from the scores; forged ones are named."""

from pathlib import Path

import numpy as np
import pytest
import torch

from auditor.core.measurement import Outcome
from auditor.core.results import Results
from auditor.metrics.membership import measure_membership
from auditor.observations.returned import MembershipScores
from auditor.report.remeasured import NAME, remeasured, scores_of
from tests.report.example_results import EXAMPLES

INSIDE = torch.tensor([True, False] * 100)
SCORES = torch.from_numpy(np.random.default_rng(0).normal(size=200)) + INSIDE.double()


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """One measured membership attack, with its scores as a run keeps them."""
    outcome = Outcome(
        scenario="released-model",
        attack="membership/lira",
        state="trained",
        status="measured",
        measurements=measure_membership(MembershipScores(SCORES), INSIDE).measurements,
    )
    path = scores_of(tmp_path, outcome)
    path.parent.mkdir(parents=True)
    rows = [
        f"{k},{int(inside)},{score!r}" for k, (inside, score) in enumerate(zip(INSIDE, SCORES.tolist(), strict=True))
    ]
    path.write_text("\n".join(["candidate,is_member,score", *rows]) + "\n")
    return EXAMPLES["nothing"]().results.model_copy(update={"outcomes": (outcome,)})


def forged(results: Results, metric: str, value: float) -> Results:
    outcome = results.outcomes[0]
    rows = tuple(m.model_copy(update={"value": value}) if m.metric == metric else m for m in outcome.measurements)
    return results.model_copy(update={"outcomes": (outcome.model_copy(update={"measurements": rows}),)})


def test_figures_that_follow_from_the_scores_hold(results: Results, tmp_path: Path) -> None:
    check, rest = remeasured(tmp_path, results)
    assert (check.name, check.differs, check.skipped) == (NAME, (), "")
    assert check.note.endswith("of 1 attacks")
    assert "were taken as results.json gives them" in rest.note
    assert "auditor run AUDIT --out COPY" in rest.note


@pytest.mark.parametrize(("metric", "value"), [("auc", 0.5), ("tpr_at_fpr", 0.01)])
def test_a_forged_figure_is_named(results: Results, tmp_path: Path, metric: str, value: float) -> None:
    check = next(remeasured(tmp_path, forged(results, metric, value)))
    assert check.differs[0].startswith(metric)
    assert f"of released-model:membership/lira@trained is {value:.6g}; the scores give 0." in check.differs[0]


def test_without_scores_it_says_that_nothing_was_measured_again(results: Results, tmp_path: Path) -> None:
    path = scores_of(tmp_path, results.outcomes[0])
    path.write_text("candidate,is_member\n1,1\n")
    assert "cannot be read" in next(remeasured(tmp_path, results)).differs[0]
    path.unlink()
    check, rest = remeasured(tmp_path, results)
    assert "holds no scores" in check.skipped
    assert rest.note
