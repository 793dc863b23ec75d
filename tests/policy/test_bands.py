import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.policy.bands import Band, band, band_of_ratio
from tests.results_builder import measurement, recovered


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.005, 0.019, Band.S1),  # at most twice chance; the lowest band needs a per-record test
        (0.02, 0.05, Band.S1),  # exactly five times chance is still S1
        (0.02, 0.0501, Band.INCONCLUSIVE),  # low end at twice chance, high end above five times
        (0.0201, 0.0501, Band.S2),
        (0.03, 0.5, Band.S2),
        (0.1, 0.2, Band.S3),  # exactly ten times chance
        (0.0999, 0.2, Band.S2),
        (0.0, 1.0, Band.INCONCLUSIVE),
    ],
)
def test_membership_by_likelihood_ratio_at_one_percent(low, high, expected):
    assert band(measurement((low + high) / 2, low, high)).band == expected


def test_the_same_ratio_at_one_in_a_thousand():
    assert band(measurement(0.004, 0.002, 0.005, at={"fpr": 0.001})).band == Band.S1
    assert band(measurement(0.04, 0.01, 0.05, at={"fpr": 0.001})).band == Band.S3


@pytest.mark.parametrize("fpr", [0.5, 0.0001])
def test_other_points_have_no_band(fpr):
    assert band(measurement(0.5, 0.4, 0.6, at={"fpr": fpr})) is None


def test_where_false_alarms_are_frequent_only_success_counts():
    assert band(measurement(0.3, 0.21, 0.4, at={"fpr": 0.1})).band == Band.S2
    assert band(measurement(0.15, 0.1, 0.2, at={"fpr": 0.1})) is None
    assert band(measurement(None, None, None, at={"fpr": 0.1}, refused="few")) is None


def test_metrics_without_a_band():
    assert band(measurement(0.7, 0.6, 0.8, metric="auc")) is None
    assert band(measurement(25.0, 20.0, 30.0, metric="psnr", unit="dB")) is None


def test_refused_is_inconclusive():
    assert band(measurement(None, None, None, refused="too few")).band == Band.INCONCLUSIVE


@pytest.mark.parametrize(
    ("low", "high", "null", "expected"),
    [
        (0.0, 0.05, 0.01, Band.S0),
        (0.0, 0.08, 0.04, Band.S0),  # up to twice the null
        (0.0, 0.09, 0.04, Band.S1),
        (0.0, 0.10, 0.01, Band.S1),
        (0.0, 0.37, 0.01, Band.INCONCLUSIVE),  # no hit among eight
        (0.02, 0.09, 0.01, Band.S2),  # more than chance explains: one person is enough
        (0.06, 0.2, 0.05, Band.S2),
        (0.5, 0.7, 0.01, Band.S3),
        (0.0, 0.3, 0.2, Band.S0),
        (0.0, 0.5, 0.2, Band.INCONCLUSIVE),
    ],
)
def test_reconstruction(low, high, null, expected):
    assert band(recovered((low + high) / 2, low, high, floor=null)).band == expected


def test_reconstruction_without_a_null_takes_any_certain_hit_as_one():
    assert band(recovered(0.03, 0.01, 0.05, floor=None)).band == Band.S2


@pytest.mark.parametrize(
    ("low", "high", "guess", "expected"),
    [
        (0.1, 0.22, 0.2, Band.S0),
        (0.9, 0.95, 0.2, Band.S3),
        (0.55, 0.56, 0.5, Band.S2),
        (0.5, 0.54, 0.5, Band.S1),
        (0.5, 0.9, 0.5, Band.INCONCLUSIVE),
        (0.99, 1.0, 1.0, Band.INCONCLUSIVE),
    ],
)
def test_labels_count_above_a_blind_guess(low, high, guess, expected):
    found = band(measurement((low + high) / 2, low, high, metric="label_accuracy", floor=guess))
    assert found.band == expected


def test_other_answers_count_like_labels():
    found = band(measurement(0.9, 0.85, 0.95, metric="answer_accuracy", floor=0.2))
    assert found.band == Band.S3


def test_band_of_a_proven_cap():
    assert [band_of_ratio(r) for r in (1, 2, 2.1, 5, 10, 10.1)] == ["S0", "S0", "S1", "S1", "S2", "S3"]


@given(st.floats(0.001, 0.9), st.floats(0, 0.1))
def test_more_success_never_lowers_the_band(value, more):
    order = [Band.S0, Band.S1, Band.S2, Band.S3]
    bands = [band(measurement(v, v, v)).band for v in (value, min(1.0, value + more))]
    assert order.index(bands[0]) <= order.index(bands[1])


def test_the_printed_bands_are_those_of_the_rule():
    """The report prints the bands in words; they hold only for these values."""
    from auditor.policy import rule
    from auditor.report.strings import strings

    assert (rule.LIKELIHOOD_RATIO_S0, rule.LIKELIHOOD_RATIO_S1, rule.LIKELIHOOD_RATIO_S3) == (2, 5, 10)
    assert (rule.SHARE_S0, rule.SHARE_S1, rule.SHARE_S3, rule.NULL_FACTOR) == (1 / 20, 1 / 10, 1 / 2, 2)
    assert (rule.SMALLEST_FPR, rule.LARGEST_FPR) == (0.001, 0.01)
    rows, levels = strings().get("risk.scale_rows"), strings().get("risk.levels")
    for name, efforts in rule.LIKELIHOOD.items():
        assert rows[name][-1] == levels[efforts["low"] - 1] == levels[efforts["mid"] - 1]
        assert efforts["high"] == max(1, efforts["low"] - 1)
