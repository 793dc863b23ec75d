"""Accuracy among several answers."""

import pytest
import torch

from auditor.metrics.choices import measure_choices, measure_gain
from auditor.observations.returned import Attributions


def test_accuracy_is_exact_and_beside_the_commonest_answer() -> None:
    truth = torch.tensor([3, 3, 3, 5, 5, 9, 9, 9, 9, 9])
    scores = torch.zeros(10, 3)
    scores[torch.arange(10), torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 0, 0])] = 1.0
    (found,) = measure_choices(Attributions(scores, choices=(3, 5, 9)), truth)
    assert (found.value, found.floor) == (0.8, 0.5)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((0.4439, 0.9748), abs=1e-4)


def test_another_number_of_truths_is_refused() -> None:
    with pytest.raises(ValueError, match="3 candidates"):
        measure_choices(Attributions(torch.zeros(3, 2), choices=(0, 1)), torch.zeros(2))


def test_gain_is_paired_and_exact() -> None:
    """Eight records only the attack has right, two only the baseline, ninety both wrong."""
    truth = torch.zeros(100, dtype=torch.int64)
    attack, blind = torch.ones(100, dtype=torch.int64), torch.ones(100, dtype=torch.int64)
    attack[:8], blind[8:10] = 0, 0
    made = [Attributions(torch.nn.functional.one_hot(a, 2).double(), choices=(0, 1)) for a in (attack, blind)]
    gain = measure_gain(made[0], made[1], truth)
    assert gain.value == pytest.approx(0.06)
    assert gain.interval is not None
    assert (gain.interval.low, gain.interval.high) == pytest.approx(
        ((2 * 0.4439 - 1) * 0.1, (2 * 0.9748 - 1) * 0.1), abs=1e-4
    )


def test_no_difference_is_no_gain() -> None:
    same = Attributions(torch.eye(3), choices=(0, 1, 2))
    gain = measure_gain(same, same, torch.arange(3))
    assert gain.value == 0
    assert gain.interval is not None
    assert gain.interval.low == gain.interval.high == 0
