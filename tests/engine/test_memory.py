from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from auditor.attacks.inversion.gradient_matching import GradientMatching
from auditor.engine.memory import in_halves, is_out_of_memory
from tests.engine.targets import digits_target
from tests.engine.test_workshop import ran


def fits(most: int, seen: list[int]):  # type: ignore[no-untyped-def]
    def work(items: Sequence[int]) -> list[int]:
        seen.append(len(items))
        if len(items) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * item for item in items]

    return work


@pytest.mark.parametrize("most", [1, 3, 100])
def test_halving_gives_the_results_of_all_in_their_order(most: int) -> None:
    seen: list[int] = []
    assert in_halves(fits(most, seen), range(13), device="cpu") == [i * i for i in range(13)]
    assert seen[0] == 13
    assert min(seen) >= 1


def test_one_item_that_does_not_fit_is_the_caller_s_to_report() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        in_halves(fits(0, []), range(4), device="cpu")


def test_another_error_is_not_taken_for_memory() -> None:
    def work(items: Sequence[int]) -> list[int]:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        in_halves(work, range(4), device="cpu")
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"))


def test_an_attack_whose_candidates_do_not_fit_runs_them_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, tried = GradientMatching.run, []

    def run(self, seen, known, context):  # type: ignore[no-untyped-def]
        tried.append(context.batched)
        if context.batched:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, seen, known, context)

    monkeypatch.setattr(GradientMatching, "run", run)
    attacks = ["inversion/gradient-matching"]
    with ran(tmp_path, digits_target(), how="stacked", scenarios=["honest-server"], attacks=attacks) as outcomes:
        assert {outcome.status for outcome in outcomes} == {"measured"}
    assert tried[:2] == [True, False]
