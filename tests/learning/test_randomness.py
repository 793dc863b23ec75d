"""Seeded blocks leave no trace."""

import pytest
import torch

from auditor.learning.randomness import seeded


def test_draws_follow_from_the_seed_and_leave_the_generator_as_it_was() -> None:
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    with seeded(7):
        one = torch.rand(3)
    with seeded(7):
        again = torch.rand(3)
    assert torch.equal(one, again)
    assert torch.equal(torch.rand(3), expected)


def test_an_error_inside_gives_the_generator_back_too() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="drawn"), seeded(7):
        _fail_after_drawing()
    assert torch.equal(torch.get_rng_state(), before)


def test_no_seed_means_the_global_generator() -> None:
    torch.manual_seed(4)
    with seeded(None):
        one = torch.rand(3)
    torch.manual_seed(4)
    assert torch.equal(one, torch.rand(3))


def _fail_after_drawing() -> None:
    raise ValueError(f"drawn {torch.rand(3)}")
