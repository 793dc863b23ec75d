"""Membership from predicted classes alone."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

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
    revision: ClassVar[int] = 1
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
        shares: list[Tensor] = []
        for place, scale in enumerate(SCALES):
            if place and context.out_of_time:
                break
            shares.append(self._share(seen, inputs, labels, scale * spread, generator))
            context.progress((place + 1) / len(SCALES))
        queries = 1 + self.params.copies * (len(shares) - 1)
        return MembershipScores(torch.stack(shares).mean(dim=0), notes=(f"{queries} queries a record",))

    def _share(
        self, seen: LabelOracle, inputs: Tensor, labels: Tensor, noise: Tensor, generator: torch.Generator
    ) -> Tensor:
        copies = self.params.copies if bool(noise.any()) else 1
        right = torch.zeros(len(labels), dtype=torch.float64)
        for _ in range(copies):
            drawn = torch.randn(inputs.shape, generator=generator, device=inputs.device, dtype=inputs.dtype)
            right += (seen.ask(inputs + noise * drawn) == labels).cpu().double()
        return right / copies
