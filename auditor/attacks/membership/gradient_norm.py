"""Membership by the size of a record's gradient."""

from typing import ClassVar, Literal

import torch
from pydantic import Field

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.learning.functional import FunctionalModel
from auditor.observations.released import Observation, Weights
from auditor.observations.returned import MembershipScores

MEMORY = 16 * 2**20
"""Gradient values of single records that are computed at once."""


class GradientNorm:
    """Training has driven the gradients of members towards zero.

    Nasr, Shokri and Houmansadr, 2019, arXiv:1812.00910, the gradient feature alone, without the learned attack
    model; a baseline of the white-box setting, seldom stronger than the loss.
    """

    name: ClassVar[str] = "membership/gradient-norm"
    title: ClassVar[str] = "Membership by the size of a record's gradient"
    paper: ClassVar[str] = "Nasr et al., 2019, arXiv:1812.00910"
    needs: ClassVar[Needs] = Needs(frozenset({Grant.MODEL_WEIGHTS}))
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (Weights,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """Which norm."""

        norm: Literal["l1", "l2", "max"] = Field("l2", description="l2 is the paper's; the others rank much alike.")

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """A gradient of each candidate."""
        candidates = shape.members + shape.nonmembers
        return Cost(record_gradients=candidates, bytes=3 * 4 * min(MEMORY, candidates * shape.parameters))

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Minus the norm of each candidate's gradient, shape ``(candidates,)``.

        Raises:
            AttackFailed: where time ends before each candidate has one.
        """
        assert isinstance(seen, Weights)
        if seen.candidates is None:
            raise AttackFailed("no candidate records were handed on with the weights")
        model = FunctionalModel(known.model, device=context.device, batch_norm="eval")
        state = model.complete(seen.state)
        candidates = seen.candidates.to(context.device)
        size = sum(state[name].numel() for name in model.trainable)
        chunk = max(1, MEMORY // size)
        norms = []
        for start in range(0, len(candidates), chunk):
            if start and context.out_of_time:
                raise AttackFailed(f"time ended after the gradients of {start} of {len(candidates)} candidates")
            rows = model.per_record_gradients(state, candidates[slice(start, start + chunk)])
            flat = torch.cat([row.flatten(1) for row in rows.values()], dim=1)
            order = {"l1": 1.0, "l2": 2.0, "max": torch.inf}[self.params.norm]
            norms.append(torch.linalg.vector_norm(flat, ord=order, dim=1).cpu().double())
            context.progress(min(1.0, (start + chunk) / len(candidates)))
        return MembershipScores(-torch.cat(norms))
