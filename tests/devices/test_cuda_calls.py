"""``torch.cuda`` is asked in the form that it takes; its own checks of arguments run without a GPU."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from auditor.engine.memory import limited
from auditor.learning.choice import choose_path
from auditor.learning.randomness import seeded


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Two GPUs that only write down what reaches them; the first is the current one."""
    found: list[Any] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda.memory, "_lazy_init", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=100))
    monkeypatch.setattr(torch._C, "_cuda_setMemoryFraction", lambda *given: found.append(given), raising=False)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: found.append(device))
    monkeypatch.setattr(torch.cuda, "default_generators", (torch.Generator(), torch.Generator()))
    return found


@pytest.mark.parametrize(("device", "index"), [("cuda", 0), ("cuda:1", 1)])
def test_a_share_of_memory_is_set_on_the_worker_s_own_gpu(asked: list[Any], device: str, index: int) -> None:
    with limited(50, device=device):
        assert asked == [(0.5, index)]


def test_timing_waits_for_the_gpu_that_works(asked: list[Any]) -> None:
    def work(rows: int) -> list[dict[str, torch.Tensor]]:
        return [{"w": torch.zeros(1)}] * rows

    choose_path(work, work, rows=2, device="cuda:1", random=False)
    assert set(asked) == {"cuda:1"}


@pytest.mark.parametrize(("device", "index"), [("cuda", 0), ("cuda:1", 1)])
def test_modules_draw_from_the_seeded_generator_of_their_gpu(asked: list[Any], device: str, index: int) -> None:
    own, other = torch.cuda.default_generators[index], torch.cuda.default_generators[1 - index]
    before, kept = own.get_state(), other.get_state()
    with seeded(7, device=device):
        assert own.get_state().equal(torch.Generator().manual_seed(7).get_state())
        assert other.get_state().equal(kept)
    assert own.get_state().equal(before)
