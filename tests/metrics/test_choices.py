"""Accuracy among several answers."""

import pytest
import torch

from auditor.metrics.choices import measure_choices
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
