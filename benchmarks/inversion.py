"""Reconstruction of the same gradients by this tool, by breaching, and by a plain loop over restarts.

Medians of paired runs, each in a process of its own with one thread. ``x`` is how many times the CPU seconds of this
tool, for each candidate, the other one needs for each of its own.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.children.inversions import by_auditor, by_serial_restarts
from benchmarks.measuring import Kept, Options, alone, medians, table
from benchmarks.peer import by_breaching, why_missing

Task = dict[str, Any]
Way = tuple[str, str, int, Callable[[Task], dict[str, Any]], Task]
"""(who, what it does, candidates, how, what differs in the task)"""

_GRID = [0.05, 0.02, 0.01, 0.002]
_HEAD = ("Work", "By", "n", "Quality (least)", "CPU s", "Wall s", "Peak MiB", "Candidates", "CPU s each", "x")


def run(options: Options) -> None:
    """Print the tables."""
    kept = Kept(options, "inversion")
    _pictures(options, kept)
    _tables(options, kept)
    _linear(options, kept)


def _own(task: Task) -> dict[str, Any]:
    return alone(by_auditor, task=task)


def _loop(task: Task) -> dict[str, Any]:
    return alone(by_serial_restarts, task=task)


def _pictures(options: Options, kept: Kept) -> None:
    """rlenet32, one photograph, 1,000 iterations, total variation .01 for breaching (its better setting here)."""
    path = options.shared / "data" / "images" / "photos32.npz"
    if not path.exists():
        print(f"Skipped: {path} is missing.")
        return
    task = {"kind": "rlenet32", "path": str(path), "iterations": 50 if options.quick else 1000, "grid": _GRID}
    ways: list[Way] = [
        ("auditor", "4 weights x 4 starts", 16, _own, {"restarts": 4}),
    ]
    missing = why_missing(options.peer_env, create=options.create)
    if missing:
        print(f"breaching skipped: {missing}.")
    else:
        environment = options.peer_env
        assert environment is not None

        def theirs(given: Task) -> dict[str, Any]:
            return by_breaching(environment, given)

        ways.append(("breaching 0.1.2", "1 start", 1, theirs, {"restarts": 1, "grid": [0.01]}))
    _compare(options, kept, "rlenet32 B=1", task, ways, unit="dB")


def _tables(options: Options, kept: Kept) -> None:
    path = options.shared / "data" / "tabular" / "adult.csv.gz"
    if not path.exists():
        print(f"Skipped: {path} is missing.")
        return
    base = {"kind": "adult", "path": str(path), "iterations": 20 if options.quick else 150, "restarts": 30}
    for batch in (8, 32):
        ways: list[Way] = [
            ("auditor", "30 starts", 30, _own, {}),
            ("plain loop", "30 starts, serial", 30, _loop, {}),
        ]
        _compare(options, kept, f"Adult MLP 100-100 B={batch}", {**base, "batch": batch}, ways, unit="")


def _linear(options: Options, kept: Kept) -> None:
    path = options.shared / "data" / "images" / "photos32.npz"
    if not path.exists():
        return
    # Which of the ends is chosen is luck here, for ReLU patterns differ; the mean of all is what can be compared.
    task = {"kind": "mlp", "path": str(path), "iterations": 10 if options.quick else 200, "grid": _GRID, "restarts": 2}
    ways: list[Way] = [
        ("auditor", "4 weights x 2 starts", 8, _own, {}),
        ("plain loop", "the same, serial", 8, _loop, {}),
    ]
    _compare(options, kept, "MLP 3072-256-10 B=1, 200 steps", task, ways, unit="dB", quality="all")


def _compare(
    options: Options, kept: Kept, name: str, task: Task, ways: list[Way], *, unit: str, quality: str = "quality"
) -> None:
    found: dict[str, list[dict[str, Any]]] = {f"{who}, {what}": [] for who, what, *_ in ways}
    for pair in range(options.pairs):
        for who, what, _, how, differs in ways:
            given = {**task, "index": pair, "seed": 1000 + pair, **differs}
            row = kept.measured(f"{name} | {who}, {what} | {pair}", lambda how=how, given=given: how(given))  # type: ignore[misc]
            found[f"{who}, {what}"].append(row)
    rows, own = [], 0.0
    for who, what, candidates, *_ in ways:
        mine = found[f"{who}, {what}"]
        cpu, wall, peak = medians(mine, "cpu", "wall", "peak")
        own = own or cpu / candidates
        reached = [row[quality] for row in mine]
        shown = f"{sum(reached) / len(reached):.3g} ({min(reached):.3g}) {unit}".strip()
        each = cpu / candidates
        cells = (name, f"{who}, {what}", str(len(mine)), shown, f"{cpu:.2f}", f"{wall:.2f}", f"{peak:.0f}")
        rows.append([*cells, str(candidates), f"{each:.3f}", f"{each / own:.2f}"])
    table(_HEAD, rows)
    print(flush=True)
