"""The patch filter: less error where noise is known, no change without noise."""

import torch
from torch import Tensor, nn

from auditor.attacks.inversion.denoise import denoised
from auditor.observations.records import Records


def pictures(n: int, seed: int) -> Tensor:
    coarse = torch.rand(n, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, (16, 16), mode="bilinear")


OTHERS = Records(pictures(100, 1), torch.zeros(100, dtype=torch.int64))


def test_the_error_falls_in_each_picture_by_its_own_noise() -> None:
    clean, noise = pictures(2, 0), torch.tensor([0.05, 0.3])
    drawn = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    noisy = clean + noise[:, None, None, None] * drawn
    left = (denoised(noisy, noise, OTHERS) - clean).flatten(1).square().mean(1).sqrt()
    assert bool((left < 0.6 * noise).all())


def test_without_noise_pictures_stay() -> None:
    clean = pictures(2, 0)
    assert torch.allclose(denoised(clean, torch.zeros(2), OTHERS), clean, atol=1e-3)
