"""Per-record losses."""

import math

import pytest
import torch

from auditor.learning.losses import cross_entropy, language_model, mean_squared_error, untied_cross_entropy


def test_cross_entropy_of_flat_logits_is_the_log_of_the_classes() -> None:
    found = cross_entropy(torch.zeros(4, 7), torch.tensor([0, 1, 5, 6]))
    torch.testing.assert_close(found, torch.full((4,), math.log(7)))


def test_squared_error_never_broadcasts() -> None:
    outputs, labels = torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0])
    torch.testing.assert_close(mean_squared_error(outputs, labels), torch.tensor([0.0, 4.0]))
    torch.testing.assert_close(mean_squared_error(outputs[:, 0], labels), torch.tensor([0.0, 4.0]))
    both = mean_squared_error(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 0.0]]))
    torch.testing.assert_close(both, torch.tensor([5.0]))


def test_language_model_shifts_by_one_and_ignores_padding() -> None:
    logits = torch.zeros(3, 4, 5)
    logits[:, 0, 2] = 50.0  # certain that token 2 follows the first
    tokens = torch.tensor([[1, 2, 0, 0], [1, 3, 0, 0], [1, 2, 0, 4]])
    found = language_model(logits, tokens)
    flat = math.log(5)
    torch.testing.assert_close(found, torch.tensor([0.0, 50.0, 2 * flat / 3]))


def test_language_model_of_padding_alone_is_finite() -> None:
    assert language_model(torch.randn(1, 3, 5), torch.tensor([[1, 0, 0]])).item() == 0.0


def test_losses_of_records_fitted_well_do_not_tie() -> None:
    logits = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * 3
    labels = torch.arange(200) % 5
    found = untied_cross_entropy(logits, labels)
    assert torch.allclose(found, cross_entropy(logits.double(), labels), rtol=1e-9)
    sure = torch.tensor([[60.0, 0.0], [90.0, 0.0], [0.0, 90.0]])
    small = untied_cross_entropy(sure, torch.tensor([0, 0, 0]))
    assert small[0] == pytest.approx(8.7565e-27, rel=1e-4)
    assert 0 < small[1] < small[0]
    assert small[2] == pytest.approx(90.0)
