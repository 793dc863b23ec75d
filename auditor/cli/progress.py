"""Progress on the screen: a bar on a terminal, plain lines elsewhere. Always on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from auditor.engine.left import TimeLeft
    from auditor.engine.progress import Progress

_EVERY = 10.0
"""Seconds between two plain lines."""


@contextmanager
def shown_progress() -> "Iterator[Progress]":
    """Bars where stderr is a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield Bars(bars)


class Lines:
    """One line for each stage, and one every few seconds within it."""

    def __init__(self) -> None:
        self._name = ""
        self._units = self._done = 0
        self._told = 0.0
        self._left: TimeLeft | None = None

    def stage(self, name: str, *, units: int, seconds: float) -> None:
        self._name, self._units, self._done = name, units, 0
        from auditor.engine.left import TimeLeft

        self._told = time.monotonic()
        self._left = TimeLeft(units=units, expected=seconds, now=self._told)
        expected = f", about {seconds:.0f} s" if seconds >= 1 else ""
        typer.echo(f"{name}: {units} to do{expected}", err=True)

    def unit(self, name: str, *, failed: bool) -> None:
        self._done += 1
        now = time.monotonic()
        left = self._left.unit_ended(now) if self._left is not None else 0.0
        if now - self._told >= _EVERY:
            self._told = now
            typer.echo(f"{self._name}: {self._done} of {self._units}, about {left:.0f} s left", err=True)

    def say(self, sentence: str) -> None:
        typer.echo(sentence, err=True)


class Bars:
    """A bar for each stage."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._task: Any = None

    def stage(self, name: str, *, units: int, seconds: float) -> None:
        self._task = self._bars.add_task(name, total=units)

    def unit(self, name: str, *, failed: bool) -> None:
        self._bars.advance(self._task)

    def say(self, sentence: str) -> None:
        self._bars.console.print(sentence, markup=False, highlight=False)
