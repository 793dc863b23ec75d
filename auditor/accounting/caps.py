"""What a composed privacy loss caps, whatever the attack.

For every epsilon, also a negative one, any test has ``TPR <= e^eps FPR + delta(eps)``; the smallest right-hand side
is the cap (Neyman-Pearson, as one cumulative sum over the loss). All values come from the dominating discretisation
with its rounding bound added, so a cap is never below the truth, also at a false positive rate of 1e-6.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from auditor.accounting.account import Effort
from auditor.accounting.arrays import Floats
from auditor.accounting.bracket import LossEngine
from auditor.accounting.closed_forms import gaussian_log_delta, gaussian_tpr
from auditor.accounting.reduce import full_mu, reduce, underflows
from auditor.accounting.spec import Noise, PrivacySpec
from auditor.accounting.tilted import Composed
from auditor.core.privacy import AttackCaps, CapPoint

FPRS = tuple(sorted({0.1, 0.01, 0.001, *(round(float(fpr), 12) for fpr in np.geomspace(1e-6, 0.999, 61))}))
PRIORS = (0.5, 0.1, 0.01)
BLIND_GUESSES = (1e-6, 1e-4, 1e-3, 1e-2, 0.1)
POSTERIOR_FPR = 0.01
"""The posterior cap is for a test with this false positive rate."""
_TILTS = (0.0, 0.5, 1.0, 2.0)


class LossProfile(Protocol):
    """The trade-off between the two error rates, from above."""

    def tpr(self, fpr: float) -> float:
        """Cap on the true positive rate at ``fpr``."""

    def advantage(self) -> float:
        """Cap on TPR minus FPR."""

    def log_delta(self, epsilon: float) -> float:
        """Bound on the logarithm of delta at ``epsilon``."""


@dataclass(frozen=True)
class GaussianProfile:
    """Of mu-GDP."""

    mu: float

    def tpr(self, fpr: float) -> float:
        """Closed form."""
        return gaussian_tpr(self.mu, fpr)

    def advantage(self) -> float:
        """Closed form."""
        return float(2 * special.ndtr(self.mu / 2) - 1)

    def log_delta(self, epsilon: float) -> float:
        """Closed form."""
        return gaussian_log_delta(self.mu, epsilon)


class GridProfile:
    """Of composed losses at several tilts; each gives a valid cap, the smallest counts."""

    def __init__(self, composed: Sequence[Composed]) -> None:
        self._parts = [_tails(part) for part in composed]

    def tpr(self, fpr: float) -> float:
        """Smallest ``delta(eps) + e^eps FPR``."""
        caps = (_envelope(losses, deltas, fpr) for losses, deltas in self._parts)
        return float(min(1.0, min(caps, default=1.0)))

    def advantage(self) -> float:
        """Total variation: delta at epsilon zero."""
        return min(1.0, math.exp(self.log_delta(0.0)))

    def log_delta(self, epsilon: float) -> float:
        """On the chord between two grid points: delta is convex in ``e^eps``."""
        best = 1.0
        for losses, deltas in self._parts:
            place = int(np.searchsorted(losses, epsilon, side="right")) - 1
            if 0 <= place < len(losses) - 1:
                share = math.expm1(epsilon - losses[place]) / math.expm1(losses[place + 1] - losses[place])
                best = min(best, float(deltas[place] + share * (deltas[place + 1] - deltas[place])))
            elif place >= 0:
                best = min(best, float(deltas[-1]))
        return math.log(max(best, 1e-320))


def _tails(composed: Composed) -> tuple[Floats, Floats]:
    """Grid losses and a bound on delta at each."""
    losses = composed.losses
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.exp(composed.log_norm - composed.tilt * losses)
        mass = np.maximum(composed.mass, 0.0) + composed.rounding
        plain = mass * scale
        total = np.cumsum(plain[::-1])[::-1]
        shrunk = np.cumsum((plain * np.exp(-losses))[::-1])[::-1]
        deltas = np.append(total[1:], 0.0) - np.exp(losses) * np.append(shrunk[1:], 0.0)
    deltas = np.where(np.isfinite(deltas), np.maximum(deltas, 0.0), 1.0)
    deltas = deltas * (1 + composed.relative + 1e-12) + composed.above + composed.infinity
    return losses, np.minimum(deltas, 1.0)


def _envelope(losses: Floats, deltas: Floats, fpr: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.min(np.exp(losses) * fpr + deltas))


def loss_profile(spec: PrivacySpec, effort: Effort | None = None) -> LossProfile | None:
    """The profile of what the adversary sees; None where no loss distribution is known.

    Raises:
        Refused: No bound is known.
    """
    if spec.noiseless or spec.noise in (Noise.DISCRETE_GAUSSIAN, Noise.SKELLAM):
        return None
    reduction = reduce(spec)
    if reduction.mu_upper is not None:
        return GaussianProfile(reduction.mu_upper)
    if underflows(reduction.upper):
        mu = full_mu(reduction.upper, reduction.seen)
        return GaussianProfile(mu) if mu is not None else None
    precision = (effort or Effort()).precision
    engine = LossEngine(reduction.upper, precision=precision, seen=reduction.seen)
    return GridProfile(engine.upper_loss(min(spec.delta, 1e-5), _TILTS))


def attack_caps(profile: LossProfile) -> AttackCaps:
    """All caps the report draws."""
    curve = _increasing([(fpr, profile.tpr(fpr)) for fpr in FPRS])
    return AttackCaps(
        roc=curve,
        advantage=profile.advantage(),
        posterior={f"{prior:g}": posterior(profile, prior) for prior in PRIORS},
        reconstruction={f"{kappa:g}": reconstruction(profile, kappa) for kappa in BLIND_GUESSES},
    )


def _increasing(points: list[tuple[float, float]]) -> tuple[CapPoint, ...]:
    """No cap below the diagonal or below the cap at a smaller rate."""
    found, largest = [], 0.0
    for fpr, tpr in points:
        largest = max(largest, tpr, fpr)
        found.append(CapPoint(fpr=fpr, tpr=min(1.0, largest)))
    return tuple(found)


def posterior(profile: LossProfile, prior: float, *, fpr: float = POSTERIOR_FPR) -> float:
    """Cap on the probability of membership of a flagged unit, for a test with false positive rate ``fpr``."""
    hit = prior * profile.tpr(fpr)
    return hit / (hit + (1 - prior) * fpr)


def reconstruction(profile: LossProfile, blind_guess: float) -> float:
    """Cap on the chance to reconstruct what is guessed blindly with chance ``blind_guess``.

    Hayes, Mahloujifar and Balle, 2023, arXiv:2302.07225, theorem 2: success is at most the TPR cap at that FPR.
    """
    return profile.tpr(blind_guess)


def attribute_inference(profile: LossProfile, prior: float) -> float:
    """Cap on the accuracy of guessing a binary attribute with a known prior of its likelier value.

    The best error is ``(1 - prior) (1 - delta(log(prior / (1 - prior))))`` with ``prior`` at least one half.
    """
    likelier = max(prior, 1 - prior)
    if likelier >= 1:
        return 1.0
    delta = math.exp(profile.log_delta(math.log(likelier / (1 - likelier))))
    return 1 - (1 - likelier) * (1 - min(1.0, delta))


def gdp_mu(profile: LossProfile, *, smallest: float = 1e-6) -> float | None:
    """Smallest mu whose Gaussian curve lies above every cap where both error rates are at least ``smallest``.

    None where the caps leave no such rates, because every test may succeed.
    """
    if isinstance(profile, GaussianProfile):
        return profile.mu
    low = np.geomspace(smallest, 0.5, 50)
    rates = [(float(fpr), profile.tpr(float(fpr))) for fpr in np.concatenate((low, 1 - low))]
    mus = [float(special.ndtri(tpr) - special.ndtri(fpr)) for fpr, tpr in rates if tpr < 1 - smallest]
    return max(0.0, *mus) if mus else None
