"""The grid of prior weights on photographs that it was not tuned on: the 24 of the Kodak suite, shrunk to 32x32.

The acceptance pictures are eight; a grid chosen while looking at them could flatter them. Same network, same budget,
no selection by the truth.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from auditor.attacks.inversion.gradient_matching import GradientMatching
from auditor.observations.records import Records
from tests.attacks.inversion import cases
from tests.papers.test_inversion_images import MODEL, SEED, matched

pytestmark = [pytest.mark.papers, pytest.mark.timeout(3000)]

STUDENT = 2.069
"""Quantile of Student's t with 23 degrees of freedom for a two-sided 95 % interval."""


@pytest.fixture(scope="module")
def photographs(shared_data: Path) -> Records:
    arrays = np.load(shared_data / "data" / "images" / "kodak24_224.npz", allow_pickle=False)
    pictures = torch.from_numpy(arrays["images"] if "images" in arrays else arrays[arrays.files[0]])
    values = nn.functional.avg_pool2d(pictures.permute(0, 3, 1, 2).float() / 255, 7)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (cases.CIFAR_MEAN, cases.CIFAR_STD))
    return Records((values - mean) / std, torch.tensor([(3 * i + 1) % 10 for i in range(len(values))]))


@pytest.mark.parametrize(("size", "least"), [(1, 30.0), (4, 23.0)])
def test_photographs_that_nothing_was_tuned_on(photographs: Records, size: int, least: float) -> None:
    quality, chosen = [], []
    for first in range(0, len(photographs), size):
        truth = photographs[first : first + size]
        attack = GradientMatching(GradientMatching.Params(iterations=1000, record_gradients=None))
        found = attack.run(cases.gradient_update(MODEL, truth), cases.known(MODEL), SEED)
        quality += matched(found.inputs, truth.inputs).tolist()
        chosen.append(found.notes[1].rpartition("prior weight ")[2].rstrip("."))
        print(f"{quality[-size:]} {chosen[-1]}", flush=True)
    half = STUDENT * float(np.std(quality, ddof=1)) / len(quality) ** 0.5
    counts = {weight: chosen.count(weight) for weight in sorted(set(chosen))}
    print(f"B={size}, n={len(quality)}: mean {np.mean(quality):.1f} +- {half:.1f} dB, min {min(quality):.1f}; {counts}")
    assert float(np.mean(quality)) >= least
