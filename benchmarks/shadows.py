"""Reference models of every sample: as one program, one after the other, and on two processes.

The time of two processes is the CPU time of the busier one, which is the wall time where two cores are free; it leaves
out that they must be started and load the target each (seconds), so the comparison favours them.
"""

from pathlib import Path
from typing import Any

from benchmarks.children.trainings import chosen, train
from benchmarks.measuring import Kept, Options, alone, medians, table

MODELS = 8
ROUNDS = 2
"""Of each federation at most: all rounds cost the same."""

_HEAD = ("Sample", "n", "One program s", "Serial s", "Two processes s", "Best other / one program", "The probe takes")


def run(options: Options) -> None:
    """Print a row for each sample that can be loaded here."""
    kept = Kept(options, "shadows")
    rows = []
    for audit in sorted((Path(__file__).resolve().parents[1] / "samples").glob("*/audit.yaml")):
        try:
            rows.append(_row(options, kept, audit))
        except Exception as error:  # a sample whose data is not here must not hide the others
            print(f"{audit.parent.name} skipped: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
    table(_HEAD, rows)


def _row(options: Options, kept: Kept, audit: Path) -> list[str]:
    name, count = audit.parent.name, 4 if options.quick else MODELS
    taken: dict[str, list[dict[str, Any]]] = {"stacked": [], "serial": [], "two": []}
    for pair in range(options.pairs):
        for way, found in taken.items():
            found.append(kept.measured(f"{name} {way} {pair}", lambda way=way: _measured(way, str(audit), count)))  # type: ignore[misc]
    seconds = {way: medians(found, "cpu")[0] for way, found in taken.items()}
    pick = kept.measured(f"{name} probe", lambda: alone(chosen, audit=str(audit)))
    ratio = min(seconds["serial"], seconds["two"]) / seconds["stacked"]
    figures = [f"{seconds[way]:.2f}" for way in ("stacked", "serial", "two")]
    return [name, str(options.pairs), *figures, f"{ratio:.2f}", f"{pick['how']} ({pick['because']})"]


def _measured(way: str, audit: str, count: int) -> dict[str, Any]:
    if way != "two":
        return alone(train, audit=audit, how=way, first=0, models=count, rounds=ROUNDS)
    half = count // 2
    shares = [alone(train, audit=audit, how="serial", first=at, models=half, rounds=ROUNDS) for at in (0, half)]
    return {name: max(share[name] for share in shares) for name in ("cpu", "wall", "peak")}
