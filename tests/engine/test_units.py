import os
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.engine.units import Unit, UnitKind, make_unit

BASE = {
    "target": "t",
    "details": {"parameters": {"a": 1.5}},
    "seed": 7,
    "environment": {"torch": "2"},
    "inputs": {"model": ("k",)},
}


def made(**changes: object) -> Unit:
    return make_unit(UnitKind.ATTACK, "membership/lira", **{**BASE, **changes})  # type: ignore[arg-type]


def test_equal_work_has_an_equal_key() -> None:
    assert made().key == made().key
    assert len(made().key) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"target": "u"},
        {"details": {"parameters": {"a": 1.6}}},
        {"details": {"parameters": {"a": 1.5}, "revision": 2}},
        {"seed": 8},
        {"environment": {"torch": "3"}},
        {"inputs": {"model": ("l",)}},
        {"inputs": {"other": ("k",)}},
    ],
)
def test_whatever_changes_the_result_changes_the_key(change: dict[str, object]) -> None:
    assert made(**change).key != made().key


def test_a_key_is_the_same_in_every_process(repository: Path) -> None:
    code = "from tests.engine.test_units import made; print(made().key)"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = [sys.executable, "-c", code]
        found = subprocess.run(run, cwd=repository, env=environment, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == made().key
