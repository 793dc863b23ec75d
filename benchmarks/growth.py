"""How cost grows: the slope of CPU time over size on logarithmic scales. 1 = twice the work, twice the time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.children.inversions import step
from benchmarks.children.trainings import train
from benchmarks.measuring import Kept, Options, alone, exponent, table

_HEAD = ("What grows", "Sizes", "CPU s", "Exponent")
_DIGITS = str(Path(__file__).resolve().parents[1] / "samples" / "digits" / "audit.yaml")


def run(options: Options) -> None:
    """Print one row for each thing that grows."""
    kept, rows = Kept(options, "growth"), []
    path = options.shared / "data" / "images" / "photos32.npz"
    for name, sizes, how in _lines(str(path) if path.exists() else ""):
        used = sizes[:2] if options.quick else sizes
        cost = [kept.measured(f"{name} {size}", lambda size=size, how=how: how(size))["cpu"] for size in used]  # type: ignore[misc]
        shown = " / ".join(f"{seconds:.2g}" for seconds in cost)
        rows.append([name, " / ".join(map(str, used)), shown, f"{exponent(used, cost):.2f}"])
    if not path.exists():
        print(f"Inversion skipped: {path} is missing.")
    table(_HEAD, rows)


def _lines(path: str) -> list[tuple[str, list[int], Callable[[int], dict[str, Any]]]]:
    own = {"path": path, "batch": 1, "candidates": 4, "width": 256, "repeats": 10}

    def inverting(what: str, kind: str) -> Callable[[int], dict[str, Any]]:
        return lambda size: alone(step, kind=kind, **{**own, what: size})

    def training(what: str) -> Callable[[int], dict[str, Any]]:
        given = {"audit": _DIGITS, "how": "stacked", "first": 0, "models": 4, "rounds": 3}
        return lambda size: alone(train, **{**given, what: size})

    inversion = [
        ("candidates x targets of one step, rlenet32", [4, 8, 16, 32], inverting("candidates", "rlenet32")),
        ("records behind the update, rlenet32", [1, 2, 4, 8], inverting("batch", "rlenet32")),
        ("width of an MLP 3072-width-10", [256, 512, 1024, 2048], inverting("width", "mlp")),
    ]
    trainings = [
        ("reference models, digits", [4, 8, 16, 32], training("models")),
        ("clients, digits", [2, 4, 8], training("clients")),
    ]
    return [*(inversion if path else []), *trainings]
