"""Forests grow in groups: the same as at once, fewer trees where time is short, none where there is no time."""

import time

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from auditor.attacks.base import RunContext
from auditor.attacks.forests import GROUP, grow
from auditor.core.errors import AttackFailed

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(300, 4))
VALUES = FEATURES[:, 0] + RANDOM.normal(size=300)


def forest(trees: int = 60) -> ExtraTreesRegressor:
    return ExtraTreesRegressor(trees, bootstrap=True, oob_score=True, random_state=3)


class SlowForest:
    """A forest each of whose trees takes a second of a clock that the test keeps."""

    n_estimators = 100

    def __init__(self, clock: list[float]) -> None:
        self._clock, self._grown = clock, 0

    def set_params(self, **params: int) -> "SlowForest":
        self.n_estimators = params.get("n_estimators", self.n_estimators)
        return self

    def fit(self, features: object, values: object) -> "SlowForest":
        self._clock[0] += self.n_estimators - self._grown
        self._grown = self.n_estimators
        return self


def test_it_is_the_forest_that_grows_at_once() -> None:
    one, other = forest(), forest()
    context = RunContext(deadline=time.monotonic() + 1000)
    grow(one, FEATURES, VALUES, context=context)
    other.fit(FEATURES, VALUES)
    np.testing.assert_array_equal(one.predict(FEATURES), other.predict(FEATURES))
    np.testing.assert_array_equal(one.oob_prediction_, other.oob_prediction_)
    assert context.shortened == []


@pytest.mark.parametrize(
    ("seconds", "share", "trees"), [(1000.0, 1.0, 100), (80.0, 1.0, 75), (80.0, 0.5, 25), (1.0, 1.0, 25)]
)
def test_no_group_begins_that_would_end_after_the_deadline(
    monkeypatch: pytest.MonkeyPatch, seconds: float, share: float, trees: int
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    slow, context = SlowForest(clock), RunContext(deadline=seconds)
    grow(slow, FEATURES, VALUES, context=context, share=share)
    assert slow.n_estimators == trees
    assert bool(context.shortened) == (trees < 100)


def test_without_time_nothing_grows() -> None:
    with pytest.raises(AttackFailed, match="before its forest"):
        grow(forest(), FEATURES, VALUES, context=RunContext(deadline=time.monotonic() - 1))


def test_in_the_smallest_forest_hardly_a_record_is_in_every_bag() -> None:
    """What is left of the mean where a record is out of no bag is no prediction."""
    small = forest(GROUP).fit(np.zeros((20_000, 1)), np.ones(20_000))
    assert float((small.oob_prediction_ == 0).mean()) < 1e-3
