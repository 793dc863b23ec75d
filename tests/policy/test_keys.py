import pytest

from auditor.policy import keys
from tests.results_builder import measurement


def test_points_are_compared_as_numbers():
    assert keys.parsed("tpr_at_fpr[fpr=0.01]") == keys.parsed("tpr_at_fpr[fpr=1e-2]") == keys.of(measurement())
    assert keys.parsed("precision[prior=0.1,fpr=0.01]") == keys.parsed("precision[fpr=0.01, prior=0.1]")
    assert keys.parsed("recovered_share") == keys.of(measurement(metric="recovered_share"))


@pytest.mark.parametrize("key", ["tpr_at_fpr[fpr]", "tpr_at_fpr[fpr=low]", "two words", "", "a[b", "a[b=1e]"])
def test_an_unreadable_key_matches_nothing(key):
    assert keys.parsed(key) == (key, frozenset())
    assert keys.parsed(key) != keys.of(measurement())
