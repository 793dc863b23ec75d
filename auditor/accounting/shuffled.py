"""Lower bounds for shuffled batches, where the Poisson figure does not apply.

Chua et al., 2024, arXiv:2403.17673, section 4: all other units contribute -1, so the batch with the differing unit
stands out, and the largest batch sum tells the two data sets apart. The largest sum is post-processing of what is
released, so its privacy loss bounds epsilon from below; passes over the data are independent shuffles.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from auditor.accounting.arrays import Floats
from auditor.accounting.pairs import FinitePair


def shuffled_pair(sigma: float, batches: int, *, replaced: bool, cells: int = 2500) -> FinitePair:
    """Cut the largest of ``batches`` noisy sums of one pass into cells.

    Args:
        sigma: Noise multiplier.
        batches: Batches of a pass.
        replaced: The unit's contribution turns from +1 to -1, else from +1 to nothing.
        cells: How finely to cut.
    """
    other = 0.0 if replaced else 1.0
    edges = np.linspace(-9 * sigma, 2 + 9 * sigma, cells)
    p, q = _masses(edges, 2.0, sigma, batches), _masses(edges, other, sigma, batches)
    both = (p > 0) & (q > 0)
    return FinitePair(tuple(_pooled(p, both)), tuple(_pooled(q, both)))


def _masses(edges: Floats, shift: float, sigma: float, batches: int) -> Floats:
    """Mass of the largest sum between edges; differences are taken on the side that keeps digits."""
    log_below = special.log_ndtr((edges - shift) / sigma) + (batches - 1) * special.log_ndtr(edges / sigma)
    below = np.concatenate(([0.0], np.exp(log_below), [1.0]))
    above = np.concatenate(([1.0], -np.expm1(log_below), [0.0]))
    return np.where(below[1:] < 0.5, below[1:] - below[:-1], above[:-1] - above[1:])


def _pooled(mass: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Join cells that one distribution does not reach with the last one it does; this is post-processing."""
    pooled = mass[kept].copy()
    pooled[-1] += mass[~kept].sum()
    return pooled
