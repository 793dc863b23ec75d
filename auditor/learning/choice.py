"""Vectorised or one after the other: measured on the work itself, never assumed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from auditor.learning.functional import FunctionalModel
from auditor.learning.local import Trained, usable_batches
from auditor.learning.many import TOLERANCE, Job, train_serially, train_stacked, why_not_stacked
from auditor.observations.model import LocalTraining, State
from auditor.observations.records import Records

How = Literal["auto", "stacked", "serial"]

STACK = 32
"""Models in one program: beyond it, measured on two CPU cores, a stack gains nothing and needs more memory."""
_STEPS = 3

LONG = 1.0
"""Seconds that one row may take by itself for a stack to be tried: such work keeps the device busy without one, and
trying would cost minutes."""


@dataclass(frozen=True)
class Choice:
    """Which path, and why, in a sentence for the run's record."""

    how: Literal["stacked", "serial"]
    reason: str


@dataclass(frozen=True)
class ManyTrained:
    """Results in the order of the jobs, and the path they took."""

    results: list[Trained]
    choice: Choice


def train_many(
    model: FunctionalModel,
    jobs: Sequence[Job],
    records: Records,
    recipe: LocalTraining,
    *,
    how: How | Choice = "auto",
    seed: int | None = None,
    stack: int = STACK,
) -> ManyTrained:
    """Train every job, as one vectorised program where that is faster and computes the same.

    Args:
        model: The shared model.
        jobs: Start and batches of each.
        records: Shared by all jobs.
        recipe: Shared by all jobs.
        how: ``auto`` decides by :func:`choose`; a :class:`Choice` made before is kept.
        seed: For dropout on the vectorised path.
        stack: At most so many models in one program.
    """
    model = model.with_batch_norm(recipe.batch_norm)
    choice = how if isinstance(how, Choice) else _asked(model, jobs, records, recipe, how)
    obstacle = why_not_stacked(model, jobs, recipe) if choice.how == "stacked" else ""
    if choice.how == "serial" or obstacle:
        done = train_serially(model, jobs, records, recipe)
        return ManyTrained(done, choice if not obstacle else Choice("serial", obstacle))
    # Jobs of like length share a stack, so that few rows idle.
    order = sorted(range(len(jobs)), key=lambda i: -len(jobs[i].batches))
    results: dict[int, Trained] = {}
    for start in range(0, len(order), stack):
        rows = order[start : start + stack]
        found = train_stacked(model, [jobs[i] for i in rows], records, recipe, seed=seed)
        results |= dict(zip(rows, found, strict=True))
    return ManyTrained([results[i] for i in range(len(jobs))], choice)


def choose(model: FunctionalModel, jobs: Sequence[Job], records: Records, recipe: LocalTraining) -> Choice:
    """Run three steps of some of the jobs both ways; the stack must be equal and faster.

    The choice depends on the machine's timing; keep it where results must repeat bit for bit.
    """
    model = model.with_batch_norm(recipe.batch_norm)
    if len(jobs) < 2:
        return Choice("serial", "one model alone")
    obstacle = why_not_stacked(model, jobs, recipe)
    if obstacle:
        return Choice("serial", obstacle)
    some = [replace(job, batches=usable_batches(model, job.batches)[:_STEPS]) for job in jobs[:STACK]]
    return choose_path(
        lambda rows: [each.state for each in train_serially(model, some[:rows], records, recipe)],
        lambda rows: [each.state for each in train_stacked(model, some[:rows], records, recipe, seed=0)],
        rows=len(some),
        device=model.device,
        random=model.drops_out,
    )


def choose_path(
    serial: Callable[[int], Sequence[State]],
    stacked: Callable[[int], Sequence[State]],
    *,
    rows: int,
    device: str,
    random: bool,
) -> Choice:
    """Compare two ways to do the same work, each called with how many of its rows to do.

    Args:
        serial: One row after the other.
        stacked: All rows at once; must give what ``serial`` gives.
        rows: At least two.
        device: Where the work runs.
        random: True where the two ways may differ (dropout), so that they are not compared.
    """
    alone = _once(lambda: serial(1), device)
    if alone > LONG:
        return Choice("serial", f"one alone takes {alone:.1f} s, so stacking was not tried")
    try:
        both = stacked(2)
    except torch.OutOfMemoryError:
        return Choice("serial", "a stack of models does not fit into memory")
    except RuntimeError as error:
        return Choice("serial", f"vmap cannot follow this model: {str(error).splitlines()[0][:120]}")
    gap = _gap(both, serial(2))
    if gap > TOLERANCE and not random:
        return Choice("serial", f"the vectorised path differs by {gap:.1e}")
    ratio = _seconds(lambda: serial(2), device) / 2 / (_seconds(lambda: stacked(rows), device) / rows)
    how: Literal["stacked", "serial"] = "stacked" if ratio > 1 else "serial"
    return Choice(how, f"measured: a stack of {rows} is {ratio:.2f} times as fast as serial")


def _asked(model: FunctionalModel, jobs: Sequence[Job], records: Records, recipe: LocalTraining, how: How) -> Choice:
    return choose(model, jobs, records, recipe) if how == "auto" else Choice(how, "as asked")


def _gap(one: Sequence[State], other: Sequence[State]) -> float:
    return max(
        float((a[name].double() - b[name].double()).abs().max())
        for a, b in zip(one, other, strict=True)
        for name in a
        if a[name].numel()
    )


def _seconds(work: Callable[[], object], device: str) -> float:
    """The fastest of three runs after one to warm up.

    One thread on the CPU is measured in its own CPU time, which other programs on the machine do not lengthen.
    """
    work()
    return min(_once(work, device) for _ in range(3))


def _once(work: Callable[[], object], device: str) -> float:
    alone = device == "cpu" and torch.get_num_threads() == 1
    clock = time.thread_time if alone else time.perf_counter
    start = clock()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return clock() - start
