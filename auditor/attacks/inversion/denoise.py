"""Taking known Gaussian noise off pictures by what other pictures look like."""

import torch
from torch import Tensor
from torch.nn import functional as F

from auditor.observations.records import Records

_PATCH = 4
_MOST = 20_000
"""Patches are enough for a covariance of 48 values."""


def denoised(pictures: Tensor, noise: Tensor, others: Records) -> Tensor:
    """Pictures with each patch moved to its best linear estimate; overlapping patches are averaged.

    The Wiener filter with the mean and covariance of the patches of other pictures (Yu et al., 2012, IEEE TIP 21(5),
    with one Gaussian).

    Args:
        pictures: ``(n, channels, height, width)``.
        noise: Standard deviation of the noise in each picture, ``(n,)``.
        others: Pictures of the same kind, without noise.
    """
    size = min(_PATCH, *pictures.shape[2:])
    known = _patches(others.inputs.to(pictures), size)
    known = known[:: max(1, len(known) // _MOST)]
    values, basis = torch.linalg.eigh(torch.cov(known.T))
    mean = known.mean(0)
    kept = values.clamp_min(0) / (values.clamp_min(0) + noise.square()[:, None]).clamp_min(1e-30)
    own = _patches(pictures, size).reshape(len(pictures), -1, known.shape[1]) - mean
    moved = ((own @ basis) * kept[:, None]) @ basis.T + mean
    shape, ones = pictures.shape[2:], torch.ones_like(pictures)
    total: Tensor = F.fold(moved.transpose(1, 2), shape, size)
    return total / F.fold(F.unfold(ones, size), shape, size)


def _patches(pictures: Tensor, size: int) -> Tensor:
    """All patches of all pictures, ``(n * places, values)``."""
    return F.unfold(pictures, size).transpose(1, 2).flatten(0, 1)
