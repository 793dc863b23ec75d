"""Intervals against closed forms, against scipy, and by their coverage."""

import numpy as np
import pytest
from scipy import stats

from auditor.metrics.intervals import clopper_pearson, jeffreys


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(20, 700, 0.0175, 0.0438), (60, 2005, 0.0229, 0.0384), (500, 25_000, 0.0183, 0.0218)],
)
def test_clopper_pearson_of_the_research(k: int, n: int, low: float, high: float) -> None:
    found = clopper_pearson(k, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 17), (1, 1000)])
def test_clopper_pearson_equals_scipy(k: int, n: int) -> None:
    reference = stats.binomtest(k, n).proportion_ci(confidence_level=0.9, method="exact")
    found = clopper_pearson(k, n, level=0.9)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))


def test_no_trials_say_nothing() -> None:
    assert (clopper_pearson(0, 0).low, clopper_pearson(0, 0).high) == (0.0, 1.0)


@pytest.mark.parametrize("p", [0.001, 0.01, 0.1, 0.5, 0.97])
def test_clopper_pearson_covers(p: float) -> None:
    """Exactly: the probability of all counts whose interval holds p is at least the level."""
    n = 400
    counts = np.arange(n + 1)
    covered = [clopper_pearson(int(k), n).low <= p <= clopper_pearson(int(k), n).high for k in counts]
    assert stats.binom.pmf(counts[covered], n, p).sum() >= 0.95


def test_jeffreys_is_shorter_and_keeps_its_ends() -> None:
    exact, shown = clopper_pearson(7, 300), jeffreys(7, 300)
    assert exact.low < shown.low < 7 / 300 < shown.high < exact.high
    assert jeffreys(0, 50).low == 0
    assert jeffreys(50, 50).high == 1


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="hits in"):
        clopper_pearson(k, n)
