"""Epsilon against the reference table."""

import pytest

from auditor.accounting.account import account
from tests.accounting.reference import REFERENCES, Reference
from tests.accounting.specs import OWN, poisson_spec


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: row.id)
def test_bracket_holds_the_reference(row: Reference) -> None:
    found = account(poisson_spec(*row.phases, delta=row.delta), OWN)
    limit = 0.01 * row.epsilon if row.id in ("S10", "S20") else max(1e-4 * row.epsilon, row.tolerance)
    assert abs(found.upper - row.epsilon) <= limit
    assert found.upper >= row.epsilon - row.tolerance
    assert found.lower <= row.epsilon + row.tolerance
    assert found.upper - found.lower <= max(1e-3 * found.upper, 1e-4)


def test_a_million_steps_and_a_tiny_delta() -> None:
    found = account(poisson_spec((1.0, 0.001, 1_000_000), delta=1e-15), OWN)
    assert 0 < found.lower <= found.upper < 20
    assert found.upper - found.lower <= 1e-3 * found.upper


def test_different_rounds_equal_a_long_phase_when_they_are_alike() -> None:
    long = account(poisson_spec((1.2, 0.02, 60), delta=1e-6), OWN)
    short = account(poisson_spec(*[(1.2, 0.02, 1)] * 60, delta=1e-6), OWN)
    assert short.lower <= long.upper
    assert long.lower <= short.upper
