"""Text gradient matching on a transformer of three blocks of width 96, vocabulary 1000, eight random tokens."""

import itertools
import time

import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.text_matching import TextMatching
from auditor.observations.records import Records
from tests.attacks.inversion import cases

pytestmark = [pytest.mark.papers, pytest.mark.timeout(600)]

MODEL = cases.decoder_model(1000, 96, 3, tokens=8)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("size", "least"), [(1, 1.0), (2, 0.9), (4, 0.9)])
def test_random_tokens(size: int, least: float, seed: int) -> None:
    ids = torch.randint(1, 1000, (size, 8), generator=torch.Generator().manual_seed(seed))
    update = cases.gradient_update(MODEL, Records(ids, ids))
    began = time.process_time()
    found = TextMatching(TextMatching.Params()).run(update, cases.known(MODEL), RunContext(seed=3))
    used = time.process_time() - began
    right = max(float((found.inputs[list(p)] == ids).float().mean()) for p in itertools.permutations(range(size)))
    print(f"B={size}: token accuracy {right:.2f}, {used:.1f} CPU s; {found.notes[0]}")
    assert right >= least
    assert used <= 20
