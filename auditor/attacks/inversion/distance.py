"""How far candidate gradients are from the observed one, by an adversary who knows what was done to it.

Each defence is met with what it leaves: pruned coordinates are not compared; a quantised coordinate agrees with
every value of its bin; under noise a fit is good enough once it is as close as the noise allows.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.attacks.inversion.evidence import Update, mean_gradient, step_weight

_TINY = 1e-20


@dataclass(frozen=True)
class Distance:
    """Distance to one observed gradient.

    Attributes:
        goal: Observed gradient by parameter name.
        masks: 1 where a coordinate survived pruning; empty where nothing was pruned.
        half_bin: Half the width of a quantisation bin by name; empty where nothing was quantised.
        noise_share: Share of the observed squared norm that is expected to be noise, in [0, 1].
        kind: ``cosine`` or ``l2``.
    """

    goal: dict[str, Tensor]
    masks: dict[str, Tensor]
    half_bin: dict[str, float]
    noise_share: float
    kind: str

    @classmethod
    def to(cls, seen: Update, *, kind: str, device: str) -> "Distance":
        """The distance to ``seen``, read as a mean gradient."""
        known = seen.privatisation
        goal = {name: value.to(device).float() for name, value in mean_gradient(seen).items()}
        masks = {name: (value != 0).float() for name, value in goal.items()} if known.kept_fraction < 1 else {}
        bins = {name: _bin_width(value) / 2 for name, value in goal.items()} if known.quantise_bits else {}
        noise = known.noise_std / (1.0 if seen.kind == "gradient" else step_weight(seen.local))
        size = sum(float(masks[name].sum()) if masks else value.numel() for name, value in goal.items())
        energy = sum(float(value.square().sum()) for value in goal.values())
        return cls(goal, masks, bins, min(1.0, size * noise**2 / max(energy, _TINY)), kind)

    @property
    def attainable(self) -> float:
        """Cosine distance at which the true records would lie, given the noise; 0 without noise."""
        return 1.0 - math.sqrt(max(0.0, 1.0 - self.noise_share))

    def __call__(self, made: dict[str, Tensor]) -> Tensor:
        """Distance of each candidate, shape ``(candidates,)``; differentiable.

        Args:
            made: Candidate gradients by name, ``(candidates, *parameter_shape)``.
        """
        inner, own, theirs, apart = self._sums(made)
        if self.kind == "l2":
            return apart / self._energy()
        return 1.0 - inner / (own.clamp_min(_TINY).sqrt() * theirs.clamp_min(_TINY).sqrt())

    def _energy(self) -> float:
        return max(sum(float(value.square().sum()) for value in self.goal.values()), _TINY)

    def _sums(self, made: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inner product, own energy, goal energy and squared difference per candidate."""
        first = next(iter(made.values()))
        sums = [first.new_zeros(first.shape[0]) for _ in range(4)]
        for name, goal in self.goal.items():
            value = made[name]
            if self.masks:
                value = value * self.masks[name]
            aim = goal.expand_as(value)
            if self.half_bin:
                half = self.half_bin[name]
                aim = torch.minimum(torch.maximum(value.detach(), goal - half), goal + half)
            flat, wanted = value.flatten(1), aim.flatten(1)
            sums[0] = sums[0] + (flat * wanted).sum(1)
            sums[1] = sums[1] + flat.square().sum(1)
            sums[2] = sums[2] + wanted.square().sum(1)
            sums[3] = sums[3] + (flat - wanted).square().sum(1)
        return sums[0], sums[1], sums[2], sums[3]


def _bin_width(value: Tensor) -> float:
    """Smallest gap between the levels that occur in a quantised tensor; 0 where there is only one level."""
    levels = torch.unique(value.flatten())
    gaps = levels.diff()
    gaps = gaps[gaps > levels.abs().max() * 1e-6]
    return float(gaps.min()) if len(gaps) else 0.0
