"""Gradient canaries in the user's own private training loop: the white-box audit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.auditing.estimates import PointEstimate, gaussian_fit, gaussian_interval
from auditor.auditing.game import LEVEL, EpsilonBound, Floats
from auditor.auditing.trade_off import approximate_bound, gaussian_bound
from auditor.core.seeds import derive_seed

Step = Callable[[Tensor, int], Tensor]
"""(gradients of the canaries that are in, shape ``(k, parameters)``; number of the step) -> what the step releases,
shape ``(parameters,)``. The loop treats these rows as it treats the gradients of records: clips, sums, adds noise."""


@dataclass(frozen=True)
class CanaryAudit:
    """What one audited run says.

    Attributes:
        bounds: Proven ones first; each was fixed before the run, and each stands alone at its level.
        estimate: A point estimate, never a bound.
        scores: Of each canary, for the assessor.
        included: The coins.
    """

    bounds: tuple[EpsilonBound, ...]
    estimate: PointEstimate
    scores: Floats
    included: NDArray[np.bool_]

    def contradicts(self, accounted: float) -> bool:
        """Does a proven bound exceed the accounted epsilon? Levels are split over the proven bounds beforehand."""
        return any(bound.contradicts(accounted) for bound in self.bounds)


def gradient_canaries(count: int, parameters: int, *, norm: float, seed: int) -> Tensor:
    """Random directions of one norm, shape ``(count, parameters)``; nearly orthogonal where parameters are many.

    Nasr et al., 2023, arXiv:2302.07956 (gradient canaries); Andrew et al., 2023, arXiv:2302.03098 (random directions).
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "canaries"))
    drawn = torch.randn(count, parameters, generator=generator)
    lengths: Tensor = torch.linalg.vector_norm(drawn, dim=1, keepdim=True)
    return norm * drawn / lengths


def audit_steps(
    step: Step, canaries: Tensor, *, steps: int, delta: float, seed: int, level: float = LEVEL
) -> CanaryAudit:
    """Run a private loop once with half of the canaries in, and bound its epsilon from what it releases.

    The score of a canary is the sum over steps of its inner product with the release: for Gaussian noise the best
    statistic of an adversary that sees every step. The error is shared equally by the two proven bounds, so that
    ``contradicts`` errs at most once in ``1 / (1 - level)`` runs.

    Args:
        step: The loop under audit.
        canaries: Gradient rows, no longer than the claimed clipping norm.
        steps: How many steps the run has.
        delta: Of the statement.
        seed: Of the coins.
        level: Confidence of all proven bounds together.
    """
    coins = torch.rand(len(canaries), generator=_generator(seed)) < 0.5
    inside = canaries[coins]
    scores = torch.zeros(len(canaries), dtype=torch.float64)
    for number in range(steps):
        released = step(inside, number)
        scores += (canaries @ released.to(canaries)).cpu().double()
    return judged(scores.numpy(), coins.numpy(), delta=delta, seed=seed, level=level)


def judged(scores: Floats, included: NDArray[np.bool_], *, delta: float, seed: int, level: float) -> CanaryAudit:
    """All bounds of one canary game."""
    each = 1 - (1 - level) / 2
    bounds = (
        gaussian_bound(scores, included, delta=delta, level=each, seed=seed),
        approximate_bound(scores, included, delta=delta, level=each, seed=seed),
        gaussian_interval(scores, included, delta=delta, level=level),
    )
    return CanaryAudit(bounds, gaussian_fit(scores, included, delta=delta), scores, included)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, "coins"))
