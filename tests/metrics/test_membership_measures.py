"""Membership metrics: ties, signs, thresholds, what may be claimed, and coverage by simulation."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import Tensor

from auditor.core.errors import AttackFailed
from auditor.core.measurement import Measurement
from auditor.metrics.membership import MembershipMeasures, measure_membership, nonmembers_needed
from auditor.metrics.roc import RocSample, area_under_curve, tpr_at_fpr
from auditor.observations.returned import MembershipScores


def measure(members: Tensor, nonmembers: Tensor, **options: tuple[float, ...]) -> MembershipMeasures:
    truth = torch.cat([torch.ones(len(members)), torch.zeros(len(nonmembers))]).bool()
    return measure_membership(MembershipScores(torch.cat([members, nonmembers])), truth, **options)


def by_key(measures: MembershipMeasures) -> dict[str, Measurement]:
    return {m.key: m for m in measures.measurements}


def covers(measurement: Measurement, truth: float) -> bool:
    assert measurement.interval is not None
    return measurement.interval.low <= truth <= measurement.interval.high


def normal(n: int, generator: torch.Generator, shift: float = 0.0) -> Tensor:
    return torch.randn(n, generator=generator, dtype=torch.float64) + shift


@pytest.mark.parametrize("levels", [2, 5, 20])
def test_random_scores_with_ties_have_area_one_half(levels: int) -> None:
    random = np.random.default_rng(levels)
    areas = [
        area_under_curve(RocSample.of(random.integers(levels, size=700) * 1.0, random.integers(levels, size=700) * 1.0))
        for _ in range(200)
    ]
    assert np.mean([a.value for a in areas]) == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_area_equals_scikit_learn(levels: int) -> None:
    random = np.random.default_rng(levels)
    members, nonmembers = random.integers(levels, size=80) + 1.0, random.integers(levels, size=60) * 1.0
    truth = np.r_[np.ones(80), np.zeros(60)]
    assert area_under_curve(RocSample.of(members, nonmembers)).value == pytest.approx(
        roc_auc_score(truth, np.r_[members, nonmembers])
    )


def test_null_standard_error_is_the_known_one() -> None:
    random = np.random.default_rng(0)
    area = area_under_curve(RocSample.of(random.normal(size=700), random.normal(size=700)))
    assert area.standard_error == pytest.approx((1401 / (12 * 700 * 700)) ** 0.5, rel=0.05)


def test_threshold_lies_strictly_above_the_next_non_member() -> None:
    """Ten non-members, one false positive allowed: only scores strictly above the second largest count."""
    nonmembers = np.arange(10.0)
    sample = RocSample.of(np.array([8.0, 8.0, 8.5, 9.0, 20.0]), nonmembers)
    assert tpr_at_fpr(sample, 0.1).tpr == pytest.approx(3 / 5)
    assert tpr_at_fpr(sample, 0.05).tpr == pytest.approx(1 / 5)


def test_one_false_positive_more_is_not_lost_to_rounding() -> None:
    sample = RocSample.of(np.array([1088.5]), np.arange(1100.0))
    assert tpr_at_fpr(sample, 0.01).tpr == 1.0


def test_ties_count_against_the_attack() -> None:
    both = by_key(measure(torch.ones(500), torch.ones(500)))
    assert both["tpr_at_fpr[fpr=0.1]"].value == 0
    assert both["auc"].value == 0.5
    assert covers(both["auc"], 0.5)


@pytest.mark.parametrize(("nonmembers", "allowed"), [(99, 0), (100, 1), (999, 1), (1000, 2), (9_999, 2), (10_000, 3)])
def test_sample_size_decides_what_is_claimed(nonmembers: int, allowed: int) -> None:
    generator = torch.Generator().manual_seed(0)
    found = [
        m
        for m in measure(normal(50, generator), normal(nonmembers, generator)).measurements
        if m.metric == "tpr_at_fpr"
    ]
    assert [m.value is not None for m in found] == [i < allowed for i in range(3)]
    for refused in found[allowed:]:
        missing = nonmembers_needed(refused.at["fpr"]) - nonmembers
        assert refused.interval is None
        assert f"{missing:,} more" in refused.refused


def test_more_than_three_standard_errors_below_one_half_is_a_fault() -> None:
    generator = torch.Generator().manual_seed(0)
    good = measure(normal(300, generator, 1.0), normal(300, generator))
    inverted = measure(normal(300, generator, -1.0), normal(300, generator))
    assert good.warnings == ()
    assert "sign" in inverted.warnings[0]


def test_not_a_number_is_a_failure_of_the_attack() -> None:
    with pytest.raises(AttackFailed, match="1 of 4 scores"):
        measure(torch.tensor([1.0, float("nan")]), torch.zeros(2))


def test_infinite_scores_are_ordered() -> None:
    found = by_key(measure(torch.full((200,), torch.inf), torch.full((200,), -torch.inf)))
    assert found["tpr_at_fpr[fpr=0.1]"].value == 1.0


def test_separated_scores_do_not_claim_certainty() -> None:
    area = by_key(measure(torch.ones(50) + 1, torch.ones(50)))["auc"]
    assert area.value == 1.0
    assert area.interval is not None
    assert area.interval.low == pytest.approx(0.025 ** (1 / 50))


def test_planted_leak_is_found() -> None:
    generator = torch.Generator().manual_seed(1)
    leak = by_key(measure(normal(1000, generator, 2.5), normal(1000, generator)))
    for key, guess in {"tpr_at_fpr[fpr=0.1]": 0.1, "tpr_at_fpr[fpr=0.01]": 0.01, "auc": 0.5, "advantage": 0.0}.items():
        interval = leak[key].interval
        assert interval is not None
        assert interval.low > guess


def test_precision_follows_the_prior() -> None:
    generator = torch.Generator().manual_seed(1)
    found = by_key(measure(normal(1000, generator, 1.0), normal(1000, generator)))
    tpr = found["tpr_at_fpr[fpr=0.1]"].value
    assert tpr is not None
    assert found["precision[fpr=0.1,prior=0.01]"].value == pytest.approx(0.01 * tpr / (0.01 * tpr + 0.99 * 0.1))
    assert found["precision[fpr=0.1,prior=0.5]"].value == pytest.approx(tpr / (tpr + 0.1))


def test_roc_rises_within_its_band_and_starts_at_one_non_member() -> None:
    generator = torch.Generator().manual_seed(1)
    roc = measure(normal(400, generator, 1.0), normal(500, generator)).roc
    assert roc.shape[1] == 4
    assert roc[0, 0] == pytest.approx(1 / 500)
    assert roc[-1, 0] == 1.0
    assert roc[-1, 1] == 1.0
    assert (np.diff(roc[:, :2], axis=0) >= 0).all()
    assert ((roc[:, 2] <= roc[:, 1]) & (roc[:, 1] <= roc[:, 3])).all()


def test_null_target_interval_contains_its_false_positive_rate() -> None:
    """The acceptance of the metric core: at least 95 of 100 null runs contain 1 %."""
    generator = torch.Generator().manual_seed(3)
    runs = [by_key(measure(normal(1000, generator), normal(1000, generator), priors=())) for _ in range(100)]
    assert sum(covers(run["tpr_at_fpr[fpr=0.01]"], 0.01) for run in runs) >= 95
    assert sum(covers(run["tpr_at_fpr[fpr=0.1]"], 0.1) for run in runs) >= 95
    assert sum(covers(run["advantage"], 0.0) for run in runs) >= 95


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
def test_intervals_cover_over_simulated_audits(shift: float) -> None:
    """500 audits with a known truth: exact intervals cover at least 95 %, AUC intervals 93-97.5 %."""
    generator = torch.Generator().manual_seed(int(10 * shift) + 1)
    rate = stats.norm.sf(stats.norm.isf(0.1) - shift)
    area = stats.norm.cdf(shift / 2**0.5)
    hits = {"rate": 0, "area": 0}
    for _ in range(500):
        members, nonmembers = normal(300, generator, shift).numpy(), normal(300, generator).numpy()
        sample = RocSample.of(members, nonmembers)
        point, found = tpr_at_fpr(sample, 0.1), area_under_curve(sample)
        hits["rate"] += point.low <= rate <= point.high
        hits["area"] += abs(found.value - area) <= 1.96 * found.standard_error
    assert hits["rate"] >= 0.95 * 500
    assert 0.93 * 500 <= hits["area"] <= 0.975 * 500


@pytest.mark.parametrize("levels", [2, 3, 8])
def test_intervals_cover_discrete_scores(levels: int) -> None:
    """Tied scores: the truth is the rate strictly above the smallest threshold whose FPR is at most 10 %."""
    random = np.random.default_rng(levels)
    outside = np.full(levels, 1 / levels)
    inside = np.arange(1, levels + 1) / np.arange(1, levels + 1).sum()
    above = np.r_[np.cumsum(outside[::-1])[::-1][1:], 0.0]
    threshold = int(np.argmax(above <= 0.1))
    truth = inside[threshold + 1 :].sum()
    hits = 0
    for _ in range(300):
        sample = RocSample.of(
            random.choice(levels, size=200, p=inside) * 1.0, random.choice(levels, size=200, p=outside) * 1.0
        )
        point = tpr_at_fpr(sample, 0.1)
        hits += point.low <= truth <= point.high
    assert hits >= 0.95 * 300


def test_an_upper_end_lets_the_adversary_draw_among_ties() -> None:
    """Two of five records tie at the top: no threshold gives 10 % false alarms, and 0 % is no ceiling."""
    scores = torch.tensor(([1.0] * 40 + [0.0] * 60) * 2)
    truth = torch.arange(200) < 100
    (rate,) = (
        m for m in measure_membership(MembershipScores(scores), truth).measurements if m.key == "tpr_at_fpr[fpr=0.1]"
    )
    assert rate.value == 0.0
    assert rate.interval is not None
    assert rate.interval.high > 0.15


def test_ties_far_from_the_threshold_change_nothing() -> None:
    """Nearly all non-members tie at the bottom and no member does: the limits are those of a perfect attack."""
    scores = torch.cat([torch.ones(100), torch.zeros(100)])
    truth = torch.arange(200) < 100
    (rate,) = (
        m for m in measure_membership(MembershipScores(scores), truth).measurements if m.key == "tpr_at_fpr[fpr=0.1]"
    )
    assert rate.value == 1.0
    assert rate.interval is not None
    assert rate.interval.low > 0.95
