"""Membership by a record's place among reference models that never saw it."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.references import NEEDS, compared, moments
from auditor.core.shape import TargetShape
from auditor.observations.released import Observation, Queries
from auditor.observations.returned import MembershipScores

LEAST_MODELS = 4


class ReferenceQuantile:
    """A record that fits better here than under most models without it is more likely a member.

    Ye et al., 2022, arXiv:2111.09679, Attack-R: the share of reference models without the record under which
    it fits worse. With few models that share has few levels; ties are ordered by the distance to their mean.
    """

    name: ClassVar[str] = "membership/reference-quantile"
    title: ClassVar[str] = "Membership by a record's place among reference models"
    paper: ClassVar[str] = "Ye et al., 2022, arXiv:2111.09679, Attack-R"
    needs: ClassVar[Needs] = NEEDS
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Queries,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """How many models."""

        reference_models: Annotated[int, Field(ge=LEAST_MODELS)] = Field(
            16, description="Shared with the other attacks; each gives one level of the share."
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One query a candidate, and the shared reference models."""
        return Cost(queries=1, reference_models=self.params.reference_models)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Share of models without the record under which it fits worse, ties broken; shape ``(candidates,)``."""
        assert isinstance(seen, Queries)
        found = compared(seen, known, least=LEAST_MODELS)
        return MembershipScores(quantiles(found.target, found.others, ~found.included))


def quantiles(target: Tensor, others: Tensor, without: Tensor) -> Tensor:
    """(models below + half) / (models + 1), plus at most a thousandth for the distance to their mean."""
    count = without.sum(dim=0).double()
    below = ((others < target) & without).sum(dim=0).double()
    found = moments(others, without)
    excess = torch.where(count > 0, target - found.mean, torch.zeros_like(target))
    return (below + 0.5) / (count + 1) + 1e-3 * torch.tanh(excess / found.pooled_variance.clamp_min(1e-12).sqrt())
