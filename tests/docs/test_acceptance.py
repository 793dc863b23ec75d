"""Every row of the acceptance table names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "membership-acceptance.md"
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)::(\w+)`", TABLE.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_the_named_test_exists(file: str, test: str) -> None:
    assert f"\ndef {test}(" in (ROOT / file).read_text(encoding="utf-8")


def test_every_row_of_the_roster_is_there() -> None:
    rows = {
        line.split("|")[1].strip() for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    }
    assert {str(number) for number in range(14)} <= rows


def test_every_row_has_as_many_cells_as_the_head() -> None:
    table = TABLE.read_text(encoding="utf-8").partition("## Over partition skew")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {8}
