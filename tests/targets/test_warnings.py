"""What limits an audit is said when the target is loaded."""

from types import SimpleNamespace
from typing import Any

import pytest

from auditor.targets.warnings import _sample


def _settings(*, protects: str = "record", people: int | None = 3000, records: int | None = None) -> Any:
    override = None if records is None else SimpleNamespace(records=records)
    organisation = SimpleNamespace(subjects=people)
    privacy = SimpleNamespace(protects=protects, override=override)
    return SimpleNamespace(privacy=privacy, audit=SimpleNamespace(organisation=organisation))


def test_epsilon_of_a_sample_is_said_to_be_that() -> None:
    (warning,) = _sample(_settings(), 1200)
    assert "3,000 people are declared and 1,200 records are trained on here" in warning
    assert "privacy.override.records" in warning


@pytest.mark.parametrize(
    "given", [{"protects": "client"}, {"people": None}, {"people": 1200}, {"records": 3000}], ids=str
)
def test_nothing_is_said_where_the_numbers_agree(given: dict[str, Any]) -> None:
    assert not list(_sample(_settings(**given), 1200))
