"""How far candidate gradients are from the observed one, by an adversary who knows what was done to it.

Each defence is met with what it leaves. A dropped coordinate was smaller than those that were kept; a quantised one
lies in its bin; a sign leaves a half line. So every coordinate has an interval of values that agree with what was
seen, and a candidate is compared with the nearest gradient inside those intervals. Under noise a fit is good enough
once it is as close as the noise allows.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from auditor.attacks.inversion.evidence import Update, mean_gradient, step_weight
from auditor.learning.factored import Outer
from auditor.learning.sums import inner_and_energy
from auditor.observations.released import ClientUpdate

_TINY = 1e-20


@dataclass(frozen=True)
class Distance:
    """Distance to one observed gradient.

    Attributes:
        goal: Observed gradient by parameter name.
        below, above: How far the true coordinate may lie below and above ``goal``; empty where it is known exactly.
        scale_free: True where clipping hid the length, so that candidates are brought to the goal's length first.
        noise_share: Share of the observed squared norm that is expected to be noise, in [0, 1].
        kind: ``cosine`` or ``l2``.
        shown: One where a coordinate was seen, zero elsewhere; empty where all were.
    """

    goal: dict[str, Tensor]
    below: dict[str, Tensor]
    above: dict[str, Tensor]
    scale_free: bool
    noise_share: float
    kind: str
    shown: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def to(cls, seen: Update, *, kind: str, device: str) -> "Distance":
        """The distance to ``seen``, read as a mean gradient."""
        known = seen.privatisation
        goal = {name: value.to(device).float() for name, value in mean_gradient(seen).items()}
        below: dict[str, Tensor] = {}
        above: dict[str, Tensor] = {}
        if known.kept_fraction < 1 or known.quantise_bits:
            kept_least = _least_kept(goal)
            for name, value in goal.items():
                below[name], above[name] = _slack(value, known.quantise_bits, known.kept_fraction, kept_least)
        noise = known.noise_std / (1.0 if seen.kind == "gradient" else step_weight(seen.local))
        mask = seen.shown if isinstance(seen, ClientUpdate) else None
        shown = {name: mask[name].to(device).float() for name in goal} if mask is not None else {}
        seen_of_each = (float(shown[name].sum()) if shown else value.numel() for name, value in goal.items())
        size = sum(seen_of_each) * known.kept_fraction
        energy = max(sum(float(value.square().sum()) for value in goal.values()), _TINY)
        return cls(goal, below, above, known.clipping_norm is not None, min(1.0, size * noise**2 / energy), kind, shown)

    @property
    def attainable(self) -> float:
        """Cosine distance at which the true records would lie, given the noise; 0 without noise."""
        return 1.0 - math.sqrt(max(0.0, 1.0 - self.noise_share))

    @property
    def plain(self) -> bool:
        """True where the goal is one point and only angles count: then no gradient need be held whole."""
        return self.kind == "cosine" and not self.below and not self.shown

    def __call__(self, made: Mapping[str, Tensor | Outer]) -> Tensor:
        """Distance of each candidate, shape ``(candidates,)``; differentiable.

        Args:
            made: Candidate gradients by name, ``(candidates, *parameter_shape)``, or their factors.
        """
        if self.plain:
            return self._angle(made)
        return self._apart({name: one.whole if isinstance(one, Outer) else one for name, one in made.items()})

    def _angle(self, made: Mapping[str, Tensor | Outer]) -> Tensor:
        """Cosine distance; the length of a candidate, which clipping may have hidden, does not count."""
        sums = [inner_and_energy(made[name], goal) for name, goal in self.goal.items()]
        inner = torch.stack([inner for inner, _ in sums]).sum(0)
        energy = torch.stack([energy for _, energy in sums]).sum(0)
        return 1.0 - inner / (energy.clamp_min(_TINY).sqrt() * self._length)

    @cached_property
    def _length(self) -> Tensor:
        return torch.stack([goal.square().sum() for goal in self.goal.values()]).sum().clamp_min(_TINY).sqrt()

    def _apart(self, made: dict[str, Tensor]) -> Tensor:
        inner, own, theirs, apart = self._sums(made, self._scale(made))
        if self.kind == "l2":
            return apart / theirs.clamp_min(_TINY)
        return 1.0 - inner / (own.clamp_min(_TINY).sqrt() * theirs.clamp_min(_TINY).sqrt())

    def _scale(self, made: dict[str, Tensor]) -> Tensor | float:
        """Factor that brings each candidate to the goal's length where clipping hid it."""
        if not self.scale_free:
            return 1.0
        own_of = {name: self._visible(name, made[name].detach().flatten(1)) for name in self.goal}
        pairs = [(own_of[name], goal.flatten()) for name, goal in self.goal.items()]
        inner = sum((own @ goal for own, goal in pairs), torch.zeros((), device=pairs[0][0].device))
        own = sum((own.square().sum(1) for own, _ in pairs), torch.zeros((), device=pairs[0][0].device))
        return (inner / own.clamp_min(_TINY)).clamp_min(_TINY)

    def _sums(self, made: dict[str, Tensor], scale: Tensor | float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inner product, own energy, goal energy and squared difference per candidate."""
        first = next(iter(made.values()))
        sums = [first.new_zeros(first.shape[0]) for _ in range(4)]
        for name, goal in self.goal.items():
            own = self._visible(name, made[name].flatten(1))
            own = own * (scale[:, None] if isinstance(scale, Tensor) else scale)
            aim = self._nearest(name, own.detach(), goal.flatten())
            sums[0] = sums[0] + (own * aim).sum(1)
            sums[1] = sums[1] + own.square().sum(1)
            sums[2] = sums[2] + aim.square().sum(1)
            sums[3] = sums[3] + (own - aim).square().sum(1)
        return sums[0], sums[1], sums[2], sums[3]

    def _visible(self, name: str, own: Tensor) -> Tensor:
        """Zero where the observation shows nothing."""
        return own * self.shown[name].flatten() if self.shown else own

    def _nearest(self, name: str, own: Tensor, goal: Tensor) -> Tensor:
        """The value nearest to ``own`` that agrees with what was seen. ``(candidates, size)``."""
        if not self.below:
            return goal.expand_as(own)
        low, high = goal - self.below[name].flatten(), goal + self.above[name].flatten()
        return torch.minimum(torch.maximum(own, low), high)


def _slack(value: Tensor, bits: int | None, kept: float, kept_least: float) -> tuple[Tensor, Tensor]:
    """How far the true coordinate may lie below and above what was seen."""
    below, above = torch.zeros_like(value), torch.zeros_like(value)
    if bits == 1:
        far = value.abs().max() * 1e3
        below = torch.where(value > 0, value, torch.where(value < 0, far, below))
        above = torch.where(value < 0, -value, torch.where(value > 0, far, above))
    elif bits:
        below = above = torch.full_like(value, _bin_width(value) / 2)
    if kept < 1:
        nonzero = value[value != 0].abs()
        limit = float(nonzero.min()) if len(nonzero) else kept_least
        below, above = torch.where(value == 0, limit, below), torch.where(value == 0, limit, above)
    return below, above


def _least_kept(goal: dict[str, Tensor]) -> float:
    """The smallest magnitude that survived anywhere."""
    kept = [float(value[value != 0].abs().min()) for value in goal.values() if bool(value.any())]
    return min(kept, default=0.0)


def _bin_width(value: Tensor) -> float:
    """Smallest gap between the levels that occur in a quantised tensor; 0 where there is only one level."""
    levels = torch.unique(value.flatten())
    gaps = levels.diff()
    gaps = gaps[gaps > levels.abs().max() * 1e-6]
    return float(gaps.min()) if len(gaps) else 0.0
