"""The reference table: epsilon of 25 settings, agreed on by several accountants at fine grids."""

import csv
import re
from pathlib import Path
from typing import NamedTuple

_PHASE = re.compile(r"sigma=([\d.e-]+),q=([\d.e-]+),T=(\d+)")
_DELTA = re.compile(r"delta=([\d.e-]+)")


class Reference(NamedTuple):
    """One row; epsilon is for one unit added or removed."""

    id: str
    phases: list[tuple[float, float, int]]
    delta: float
    epsilon: float
    tolerance: float


def _read() -> list[Reference]:
    with (Path(__file__).parent / "data" / "reference_eps.csv").open(newline="") as file:
        return [
            Reference(
                id=row["setting"][:3],
                phases=[(float(s), float(q), int(t)) for s, q, t in _PHASE.findall(row["parameters"])],
                delta=float(_DELTA.findall(row["parameters"])[0]),
                epsilon=float(row["eps_ref"]),
                tolerance=float(row["eps_ref_tol"]),
            )
            for row in csv.DictReader(file)
        ]


REFERENCES = _read()
