"""Models trained once for all tests of membership attacks."""

import pytest

from tests.membership_cases import Pool, digits, pool


@pytest.fixture(scope="session")
def noisy_pool() -> Pool:
    """Case D30: 64 MLPs on complementary halves of digits with 30 % of the labels redrawn; ~6 CPU seconds."""
    return pool(digits(label_noise=0.3), pairs=32)
