"""Work in a process of its own with its CPU time, wall time and peak memory; results that survive an interruption."""

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

PAIRS = 5
"""Paired runs behind each median."""


@dataclass(frozen=True)
class Options:
    """What every benchmark is told.

    Attributes:
        results: Folder of finished measurements; a benchmark that was interrupted goes on there.
        quick: Fewer iterations and pairs: shows that everything runs, not how fast.
        peer_env: Environment that holds breaching, or None.
        create: Make that environment where it is missing.
        shared: Folder with ``data/images`` and ``data/tabular``.
    """

    results: Path
    quick: bool
    peer_env: Path | None
    create: bool
    shared: Path

    @property
    def pairs(self) -> int:
        return 1 if self.quick else PAIRS


def alone(work: Callable[..., dict[str, Any]], **given: Any) -> dict[str, Any]:
    """What ``work`` returns, with ``cpu`` and ``wall`` seconds and ``peak`` MiB, from a fresh process of one thread."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_alone, args=(theirs, work, given))
    process.start()
    theirs.close()
    try:
        result: dict[str, Any] = ours.recv()
    except EOFError:
        raise RuntimeError(f"{work.__name__} ended without a result") from None
    finally:
        process.join()
    return result


def _alone(pipe: Connection, work: Callable[..., dict[str, Any]], given: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    found = timed(lambda: work(**given))
    pipe.send({**found, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})


def timed(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` returns, and its seconds; where it states its own (without loading), those stay."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, **found}


class Kept:
    """Measurements by name, one JSON object a line, so that each is made once."""

    def __init__(self, options: Options, name: str) -> None:
        kind = "quick-" if options.quick else ""
        self._path = options.results / f"{kind}{name}.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._known = {row["name"]: row for row in map(json.loads, lines)}

    def measured(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The kept measurement of that name, or a new one."""
        if name not in self._known:
            load = os.getloadavg()[0]
            row = {"name": name, **work(), "load": round(load, 1)}
            with self._path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            self._known[name] = row
            print(f"  {name}: {row['cpu']:.2f} CPU s", file=sys.stderr, flush=True)
        found: dict[str, Any] = self._known[name]
        return found


def medians(rows: Sequence[dict[str, Any]], *names: str) -> list[float]:
    """Median of each named figure."""
    return [statistics.median(float(row[name]) for row in rows) for name in names]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |", flush=True)


def machine() -> str:
    """One line on where and when."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}, 1 thread; {datetime.now(UTC):%Y-%m-%d}; load {os.getloadavg()[0]:.1f}"
    )


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of cost over size on logarithmic scales: 1 = doubles when the size doubles."""
    x, y = torch.tensor(sizes).double().log(), torch.tensor(costs).double().log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / x.square().sum())
