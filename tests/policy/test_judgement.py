import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.core.findings import FindingStatus
from auditor.policy.judgement import judge, records_needed, why_unusable
from tests.results_builder import measurement


def status(*args, limit=0.05, **other):
    return judge(measurement(*args, **other), limit).status


def test_only_a_whole_interval_decides():
    assert status(0.10, 0.06, 0.15) == FindingStatus.EXCEEDS
    assert status(0.02, 0.01, 0.04) == FindingStatus.WITHIN
    assert status(0.05, 0.03, 0.08) == FindingStatus.INCONCLUSIVE


def test_touching_the_limit():
    assert status(0.04, 0.03, 0.05) == FindingStatus.WITHIN, "at the limit is within it"
    assert status(0.06, 0.05, 0.08) == FindingStatus.INCONCLUSIVE, "begins at the limit: not above it"
    assert "begins at" in judge(measurement(0.06, 0.05, 0.08), 0.05).because
    assert status(0.05, 0.05, 0.05) == FindingStatus.WITHIN


def test_lower_is_worse_is_mirrored():
    error = {"metric": "relative_error", "higher_is_worse": False, "unit": "1"}
    assert status(0.5, 0.4, 0.6, limit=0.3, **error) == FindingStatus.WITHIN
    assert status(0.1, 0.05, 0.2, limit=0.3, **error) == FindingStatus.EXCEEDS
    assert status(0.3, 0.2, 0.4, limit=0.3, **error) == FindingStatus.INCONCLUSIVE
    assert status(0.4, 0.3, 0.5, limit=0.3, **error) == FindingStatus.WITHIN
    assert "below" in judge(measurement(0.1, 0.05, 0.2, **error), 0.3).because


def test_no_better_than_a_guess_never_exceeds():
    assert status(0.7, 0.6, 0.8, limit=0.5, metric="label_accuracy", floor=0.65) == FindingStatus.INCONCLUSIVE
    assert status(0.7, 0.66, 0.8, limit=0.5, metric="label_accuracy", floor=0.65) == FindingStatus.EXCEEDS
    error = {"metric": "relative_error", "higher_is_worse": False, "unit": "1"}
    assert status(0.1, 0.05, 0.2, limit=0.3, floor=0.15, **error) == FindingStatus.INCONCLUSIVE
    assert status(0.1, 0.05, 0.12, limit=0.3, floor=0.15, **error) == FindingStatus.EXCEEDS


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (measurement(None, None, None, refused="300 more are needed"), "300 more are needed"),
        (measurement(None, None, None), "no value"),
        (measurement(0.9, None, None), "no interval"),
        (measurement(0.9, 0.8, 0.95, n=0), "no members was counted"),
        (measurement(math.nan, 0.8, 0.95), "not a number"),
        (measurement(0.5, 0.8, 0.95), "outside its own interval"),
    ],
)
def test_what_cannot_be_used_is_inconclusive(broken, why):
    found = judge(broken, 0.05)
    assert found.status == FindingStatus.INCONCLUSIVE
    assert why in found.because
    assert why_unusable(broken) == found.because


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.booleans(),
    st.one_of(st.none(), st.floats(0, 1)),
)
def test_a_judgement_agrees_with_its_interval(a, b, c, limit, higher, floor):
    low, value, high = sorted((a, b, c))
    found = judge(measurement(value, low, high, higher_is_worse=higher, floor=floor), limit).status
    all_bad = low > limit if higher else high < limit
    all_good = high <= limit if higher else low >= limit
    if found == FindingStatus.EXCEEDS:
        assert all_bad
    if found == FindingStatus.WITHIN:
        assert all_good
    assert (found == FindingStatus.WITHIN) == all_good


def test_records_needed_shrinks_the_interval_to_the_gap():
    found = measurement(0.04, 0.02, 0.06, n=1000)
    assert records_needed(found, 0.05) == 4000
    assert records_needed(measurement(0.05, 0.02, 0.06), 0.05) is None, "at the limit nothing would settle it"
    assert records_needed(measurement(0.04, 0.02, 0.06, unit="dB"), 0.05) is None
    assert records_needed(measurement(0.0499999999, 0.02, 0.06), 0.05) is None


@given(st.floats(0.2, 0.8), st.floats(0, 0.1), st.floats(0, 0.1), st.floats(0, 1))
def test_a_wider_interval_never_decides_more(value, half, more, limit):
    narrow = judge(measurement(value, value - half, value + half), limit).status
    wide = judge(measurement(value, value - half - more, value + half + more), limit).status
    assert wide in {narrow, FindingStatus.INCONCLUSIVE}
