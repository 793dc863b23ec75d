"""Units without a target: what executors and sessions are tested with."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch

from auditor.core.errors import AttackFailed
from auditor.engine.packing import pack
from auditor.engine.units import Made, Task, Unit, UnitKind, make_unit

SMALL = {"iterations": 5, "reference_models": 4, "shadow_models": 4, "restarts": 2, "steps": 5}
"""Parameters that only decide how long an attack tries."""


def unit(index: int, *, does: str = "sum", inputs: dict[str, tuple[str, ...]] | None = None, **details: object) -> Unit:
    return make_unit(
        UnitKind.ATTACK,
        does,
        target="t",
        details={"index": index, **details},
        seed=index,
        environment={},
        inputs=inputs,
    )


class FakeMaker:
    """Does what the unit's name says."""

    device = "cpu"

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.locate: Callable[[str], Path] | None = None
        self.made: list[str] = []

    def make(self, task: Task) -> Made:
        self.made.append(task.unit.key)
        return getattr(self, task.unit.name)(task)

    def sum(self, task: Task) -> Made:
        generator = torch.Generator().manual_seed(task.unit.seed)
        noise = torch.randn(1000, generator=generator)
        return Made(pack({"noise": noise, "sum": noise.sum()}, {}))

    def slow(self, task: Task) -> Made:
        time.sleep(0.05)
        return self.sum(task)

    def naps(self, task: Task) -> Made:
        time.sleep(0.3)
        return self.sum(task)

    def reads(self, task: Task) -> Made:
        assert self.locate is not None
        return Made(self.locate(task.unit.inputs["model"][0]).read_bytes())

    def cut(self, task: Task) -> Made:
        return Made(self.sum(task).output, cut=True)

    def fails(self, task: Task) -> Made:
        raise AttackFailed("there was no signal")

    def bug(self, task: Task) -> Made:
        patient = "Jane Doe"
        raise KeyError(patient)

    def memory(self, task: Task) -> Made:
        raise MemoryError

    def dies(self, task: Task) -> Made:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def dies_once(self, task: Task) -> Made:
        assert self.folder is not None
        mark = self.folder / task.unit.key
        if not mark.exists():
            mark.touch()
            self.dies(task)
        return self.sum(task)

    def interrupt(self, task: Task) -> Made:
        raise KeyboardInterrupt


def open_shipped_maker(folder: str, device: str, locate: Callable[[str], Path]) -> FakeMaker:
    maker = FakeMaker(Path(folder))
    maker.locate = locate
    return maker


def open_maker(folder: str, number: int) -> FakeMaker:
    return FakeMaker(Path(folder))
