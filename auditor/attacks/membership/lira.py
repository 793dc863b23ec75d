"""The likelihood-ratio attack."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.references import NEEDS, Moments, compared, moments
from auditor.core.shape import TargetShape
from auditor.observations.released import Observation, Queries
from auditor.observations.returned import MembershipScores

SMALLEST_VARIANCE = 1e-12
LEAST_MODELS = 4


class Lira:
    """Membership by the likelihood ratio of a record's score under models with and without the record.

    Carlini et al., 2022, arXiv:2112.03570, algorithm 1 (online and offline). The per-record variance may be
    shrunk towards the pooled one, the conjugate (normal-inverse-gamma) view of arXiv:2603.11799: best at few
    reference models and low false-positive rates.
    """

    name: ClassVar[str] = "membership/lira"
    title: ClassVar[str] = "Membership by likelihood ratio against reference models (LiRA)"
    paper: ClassVar[str] = "Carlini et al., 2022, arXiv:2112.03570, algorithm 1"
    needs: ClassVar[Needs] = NEEDS
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Queries,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """How the two Gaussians are fitted."""

        mode: Literal["online", "offline"] = Field(
            "online",
            description="online: uses models with and without the record; offline: only those without it, "
            "for an adversary that may not train on the candidates.",
        )
        variance: Literal["shrunk", "pooled", "per_record"] = Field(
            "shrunk", description="shrunk is never far from the better of the other two, at any number of models."
        )
        prior_models: Annotated[float, Field(gt=0)] = Field(
            4.0, description="How many models the pooled variance counts for (shrunk only)."
        )
        reference_models: Annotated[int, Field(ge=LEAST_MODELS)] = Field(
            16, description="Models trained in all; the paper uses 256, 16 give most of the gain."
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
        """Log-likelihood ratio (online) or standardised excess over models without the record (offline)."""
        assert isinstance(seen, Queries)
        return MembershipScores(self._score(*compared(seen, known, least=LEAST_MODELS)))

    def _score(self, target: Tensor, others: Tensor, included: Tensor) -> Tensor:
        without = moments(others, ~included)
        spread = self._variance(without)
        mean = _mean_or(without, without)
        if self.params.mode == "offline":
            return (target - mean) / spread.sqrt()
        within = moments(others, included)
        return _log_normal(target, _mean_or(within, without), self._variance(within)) - _log_normal(
            target, mean, spread
        )

    def _variance(self, of: Moments) -> Tensor:
        pooled = of.pooled_variance.clamp_min(SMALLEST_VARIANCE)
        match self.params.variance:
            case "pooled":
                return pooled.expand_as(of.mean)
            case "per_record":
                own = of.squares / (of.count - 1).clamp_min(1)
                return torch.where(of.count > 1, own, pooled).clamp_min(SMALLEST_VARIANCE)
        prior = self.params.prior_models
        return (prior * pooled + of.squares) / (prior + (of.count - 1).clamp_min(0))


def _mean_or(of: Moments, without: Moments) -> Tensor:
    """The mean; a record that no such model saw gets the mean of the others plus the usual gap."""
    known = of.count > 0
    both = known & (without.count > 0)
    gap = (of.mean - without.mean)[both].mean() if bool(both.any()) else of.mean.new_zeros(())
    fallback = torch.where(without.count > 0, without.mean + gap, of.mean[known].mean())
    return torch.where(known, of.mean, fallback)


def _log_normal(value: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return -0.5 * ((value - mean) ** 2 / variance + variance.log())
