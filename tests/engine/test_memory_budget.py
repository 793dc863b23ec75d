"""``budget.memory``: read, shared among workers, enforced, refused where it cannot do."""

from pathlib import Path
from typing import Any

import pytest
import torch

from auditor.core.errors import AuditorError
from auditor.engine.memory import (
    GIB,
    in_halves,
    is_out_of_memory,
    limited,
    peak_bytes,
    require_memory,
    resident_bytes,
    worker_share,
)
from auditor.engine.paths import measure_paths
from benchmarks.engine import memory as growth_of_peak
from tests.engine.targets import digits_target, document

MIB = 2**20
linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux limits the data of a process")


def settings(memory: float | None, **compute: Any) -> Any:
    budget = {"minutes": 5, **({} if memory is None else {"memory": memory})}
    return document(Path(), budget=budget, compute={"executor": "serial", **compute}).settings


def test_the_budget_is_shared_among_the_workers() -> None:
    assert worker_share(settings(None), device="cpu") is None
    assert worker_share(settings(2), device="cpu") == 2 * GIB
    assert worker_share(settings(2, executor="processes", workers=4), device="cpu") == GIB // 2


def test_a_budget_in_which_nothing_can_be_trained_is_refused_in_one_sentence() -> None:
    shape = digits_target().model.shape
    with pytest.raises(AuditorError, match=r"^budget.memory: 0.01 GiB leaves 0.01 GiB for each worker, which needs"):
        require_memory(settings(0.01), shape, device="cpu")
    require_memory(settings(16), shape, device="cpu")
    require_memory(settings(None), shape, device="cpu")


@linux
def test_an_allocation_beyond_the_budget_is_refused_and_the_limit_goes_away() -> None:
    with limited(resident_bytes() + 128 * MIB, device="cpu"):
        torch.zeros(16 * MIB // 4)
        with pytest.raises(RuntimeError) as refused:
            torch.zeros(512 * MIB // 4)
        assert is_out_of_memory(refused.value)
    assert len(torch.zeros(512 * MIB // 4)) == 512 * MIB // 4


@linux
def test_work_that_does_not_fit_goes_in_halves() -> None:
    """Eight times 64 MiB do not fit into 200; two at once do."""
    sizes: list[int] = []

    def work(items: Any) -> list[float]:
        torch.zeros(len(items), 64 * MIB // 4)
        sizes.append(len(items))
        return [float(item) for item in items]

    with limited(resident_bytes() + 200 * MIB, device="cpu"):
        assert in_halves(work, range(8), device="cpu") == [float(item) for item in range(8)]
    assert max(sizes) < 8


def test_models_are_not_stacked_where_the_budget_does_not_hold_them() -> None:
    target = digits_target()
    large = target.model.shape.model_copy(update={"parameters": 200_000_000})
    model = type(target.model)(target.model.build, target.model.loss, large)
    wide = type(target)(**{**vars(target), "model": model})
    paths = measure_paths(wide, settings(8), device="cpu", references=4)
    assert (paths.references, paths.candidates) == ("serial", "serial")
    assert "budget.memory" in paths.references_because


def test_the_peak_is_at_least_what_is_held_now() -> None:
    assert peak_bytes() >= 0.9 * resident_bytes() > 0


def test_peak_memory_does_not_grow_with_the_number_of_units() -> None:
    """750 units more, 75 MB of outputs."""
    row = growth_of_peak(few=50, many=800)
    assert row.value < 20
