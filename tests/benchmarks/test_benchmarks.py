"""The machinery of the benchmarks: each measurement once, peers that are missing, exponents."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.children import inversions
from benchmarks.measuring import Kept, Options, alone, exponent, medians
from benchmarks.peer import why_missing

ROOT = Path(__file__).parents[2]


def options(folder: Path, *, quick: bool = True) -> Options:
    return Options(folder, quick, None, False, folder)


def test_a_measurement_is_made_once_and_survives(tmp_path: Path) -> None:
    made: list[int] = []

    def work() -> dict[str, Any]:
        made.append(1)
        return {"cpu": float(len(made))}

    for _ in range(3):
        assert Kept(options(tmp_path), "any").measured("a", work)["cpu"] == 1.0
    assert Kept(options(tmp_path), "any").measured("b", work)["cpu"] == 2.0
    assert Kept(options(tmp_path, quick=False), "any").measured("a", work)["cpu"] == 3.0, "quick figures stay apart"


def burn(seconds: float) -> dict[str, Any]:
    import time

    start = time.process_time()
    while time.process_time() - start < seconds:
        pass
    return {"done": 1}


def test_work_alone_is_timed_in_its_own_process() -> None:
    found = alone(burn, seconds=0.2)
    assert 0.2 <= found["cpu"] < 2
    assert found["done"] == 1
    assert found["peak"] > 10


def test_exponents_and_medians() -> None:
    assert exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2.0)
    assert medians([{"cpu": 1}, {"cpu": 9}, {"cpu": 2}], "cpu") == [2.0]


def test_a_missing_peer_is_a_reason(tmp_path: Path) -> None:
    assert "no environment named" in why_missing(None, create=False)
    assert "--create makes it" in why_missing(tmp_path / "none", create=False)


def test_the_peer_runs_without_this_tool() -> None:
    tree = ast.parse((ROOT / "benchmarks" / "children" / "breaching_child.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    imported = {alias.name.split(".")[0] for node in imports for alias in node.names}
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"breaching", "importlib", "numpy", "resource", "sys", "time", "torch", "types"}


def test_an_unknown_benchmark_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no benchmark nothing; there are inversion" in done.stderr


def test_both_ways_attack_the_same_and_agree(shared_data: Path) -> None:
    """A few steps on Adult: from the same gradient both come to like distances."""
    task = {
        "kind": "adult", "path": str(shared_data / "data" / "tabular" / "adult.csv.gz"), "index": 0, "batch": 4,
        "iterations": 60, "restarts": 6, "seed": 3,
    }  # fmt: skip
    own, plain = inversions.by_auditor(task), inversions.by_serial_restarts(task)
    assert own["distance"] < 0.3
    assert plain["distance"] < 0.3
    assert abs(own["quality"] - plain["quality"]) < 0.25
