"""Membership from predicted classes alone."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape, Task
from auditor.observations.released import LabelOracle, Observation
from auditor.observations.returned import MembershipScores

SCALES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Noise in units of each feature's standard deviation over the candidates; set beforehand, not tuned."""


class LabelOnly:
    """A member's class survives more noise: it lies further from the decision boundary.

    Choquette-Choo et al., 2021, arXiv:2007.14321, the noise-robustness attack. Without noise it is the gap attack
    (right or wrong); each further query grades the records between.
    """

    name: ClassVar[str] = "membership/label-only"
    title: ClassVar[str] = "Membership from predicted classes alone"
    paper: ClassVar[str] = "Choquette-Choo et al., 2021, arXiv:2007.14321"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.MODEL_QUERIES}),
        tasks=frozenset({Task.CLASSIFICATION}),
        traits={"continuous_input": "adds noise to inputs, which must be continuous"},
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (LabelOracle,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """How many queries."""

        copies: Annotated[int, Field(ge=1)] = Field(
            20, description="Noisy copies of a candidate at each scale; the paper asks thousands, gains flatten here."
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the needs."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """Noisy copies at each scale, and the record itself."""
        return Cost(queries=1 + self.params.copies * (len(SCALES) - 1))

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Mean share of right answers over scales, shape ``(candidates,)``."""
        assert isinstance(seen, LabelOracle)
        inputs, labels = seen.candidates.inputs, seen.candidates.labels
        spread = inputs.float().std(dim=0, keepdim=True)
        generator = context.generator(device=str(inputs.device))
        right = torch.zeros(len(SCALES), len(labels), dtype=torch.float64)
        asked = [0] * len(SCALES)
        # One copy at every scale, then the next: a deadline leaves fewer copies, not fewer scales.
        for copy in range(self.params.copies):
            for place, scale in enumerate(SCALES):
                if (copy and not scale) or (asked[0] and context.out_of_time):
                    continue
                drawn = torch.randn(inputs.shape, generator=generator, device=inputs.device, dtype=inputs.dtype)
                right[place] += (seen.ask(inputs + scale * spread * drawn) == labels).cpu().double()
                asked[place] += 1
            context.progress((copy + 1) / self.params.copies)
        if asked[-1] < self.params.copies:
            context.shortened.append(f"{asked[-1]} of {self.params.copies} noisy copies were asked before the deadline")
        shares = torch.stack([hits / count for hits, count in zip(right, asked, strict=True) if count])
        return MembershipScores(shares.mean(dim=0), notes=(f"{sum(asked)} queries a record",))
