"""Figures over several trainings: Student's interval over trainings, and one that also covers the draw of records."""

import numpy as np
import pytest
import torch
from scipy import stats

from auditor.core.measurement import Measurement
from auditor.metrics.membership import MembershipMeasures, measure_membership
from auditor.metrics.trainings import half_width, over_trainings
from auditor.observations.returned import MembershipScores

RECORDS = 300


def measured(scores: np.ndarray) -> MembershipMeasures:
    truth = torch.arange(len(scores)) < len(scores) // 2
    return measure_membership(MembershipScores(torch.from_numpy(scores)), truth, fprs=(0.1, 0.001), priors=())


def by_key(models: list[MembershipMeasures]) -> dict[str, Measurement]:
    return {m.key: m for m in over_trainings(models)}


def trainings(random: np.random.Generator, *, count: int, luck: float) -> list[MembershipMeasures]:
    """Members score higher by 0.8 and by the luck of a training; records have noise that all trainings share."""
    shared = random.normal(size=2 * RECORDS)
    member = np.arange(2 * RECORDS) < RECORDS
    return [
        measured(member * (0.8 + luck * random.normal()) + 0.8 * shared + 0.6 * random.normal(size=2 * RECORDS))
        for _ in range(count)
    ]


def covers(m: Measurement, truth: float) -> bool:
    assert m.interval is not None
    return m.interval.low <= truth <= m.interval.high


def test_one_training_says_nothing_of_others() -> None:
    assert over_trainings(trainings(np.random.default_rng(0), count=1, luck=0.1)) == ()


def test_half_width_is_that_of_scipy() -> None:
    values = [0.61, 0.64, 0.58, 0.63]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert half_width(values) == pytest.approx((high - low) / 2)


def test_what_one_training_may_not_claim_several_may_not() -> None:
    found = by_key(trainings(np.random.default_rng(0), count=3, luck=0.1))
    assert set(found) == {
        "across_trainings_tpr_at_fpr[fpr=0.1]",
        "with_trainings_tpr_at_fpr[fpr=0.1]",
        "across_trainings_auc",
        "with_trainings_auc",
    }


def test_the_joint_interval_is_the_wider_one() -> None:
    found = by_key(trainings(np.random.default_rng(1), count=4, luck=0.1))
    across, both = found["across_trainings_auc"], found["with_trainings_auc"]
    assert across.value == both.value
    assert (across.n, across.interval and across.interval.over) == (4, "trainings; records fixed")
    assert across.interval is not None
    assert both.interval is not None
    assert both.interval.low < across.interval.low
    assert both.interval.high > across.interval.high


@pytest.mark.parametrize(("count", "luck"), [(2, 0.1), (5, 0.0), (5, 0.3)])
def test_intervals_over_records_and_trainings_cover(count: int, luck: float) -> None:
    """500 simulated audits: at least 95 % less two standard errors (93 %) contain the truth over both draws."""
    random = np.random.default_rng(count)
    grid = np.random.default_rng(0).normal(size=200_000)
    area = float(stats.norm.cdf((0.8 + luck * grid) / 2**0.5).mean())
    rate = float(stats.norm.sf(stats.norm.isf(0.1) - (0.8 + luck * grid)).mean())
    hits = {"auc": 0, "tpr_at_fpr[fpr=0.1]": 0}
    for _ in range(500):
        found = by_key(trainings(random, count=count, luck=luck))
        hits["auc"] += covers(found["with_trainings_auc"], area)
        hits["tpr_at_fpr[fpr=0.1]"] += covers(found["with_trainings_tpr_at_fpr[fpr=0.1]"], rate)
    assert min(hits.values()) >= 0.93 * 500, hits


def test_intervals_over_trainings_cover_where_records_stay() -> None:
    """The t interval alone: areas of trainings on fixed records are near normal, so it covers at its level."""
    random = np.random.default_rng(7)
    shared, member = random.normal(size=2 * RECORDS), np.arange(2 * RECORDS) < RECORDS

    def one() -> MembershipMeasures:
        luck = 0.8 + 0.2 * random.normal()
        return measured(member * luck + 0.8 * shared + 0.6 * random.normal(size=2 * RECORDS))

    def area(found: MembershipMeasures) -> float:
        return next(float(m.value) for m in found.measurements if m.metric == "auc" and m.value is not None)

    truth = float(np.mean([area(one()) for _ in range(1500)]))
    hits = sum(covers(by_key([one() for _ in range(3)])["across_trainings_auc"], truth) for _ in range(500))
    assert hits >= 0.93 * 500
