"""The pretended device, for a whole test."""

from collections.abc import Iterator

import pytest

from tests.devices.pretended import playing


@pytest.fixture
def device() -> Iterator[str]:
    """A value for ``device=``; the test's mixing of devices raises."""
    with playing() as name:
        yield name
