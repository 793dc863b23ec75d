"""Membership by how sure the model is: confidence, entropy, modified entropy."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.statistics import class_scores, log_probabilities
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape, Task
from auditor.observations.released import Observation, Queries
from auditor.observations.returned import MembershipScores

TINY = 1e-300


class OutputRule:
    """A model is surer of records that it was trained on.

    Salem et al., 2019, arXiv:1806.01246, adversary 3 (largest confidence and entropy need no label); Song and
    Mittal, 2021, arXiv:2003.10595, equation 8 (modified entropy also asks whether the label is right).
    """

    name: ClassVar[str] = "membership/output-rule"
    title: ClassVar[str] = "Membership by how sure the model is"
    paper: ClassVar[str] = "Song and Mittal, 2021, arXiv:2003.10595, equation 8"
    needs: ClassVar[Needs] = Needs(frozenset({Grant.MODEL_QUERIES}), tasks=frozenset({Task.CLASSIFICATION}))
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Queries,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """Which rule."""

        rule: Literal["modified_entropy", "entropy", "confidence"] = Field(
            "modified_entropy",
            description="modified_entropy knows the label; entropy and confidence are for who does not.",
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Applies to every classifier."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One query a candidate."""
        return Cost(queries=1)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Score of each candidate, shape ``(candidates,)``."""
        assert isinstance(seen, Queries)
        scores = class_scores(seen.outputs, seen.losses, task=known.model.task)
        if scores is None:
            raise AttackFailed("the model's outputs hold no score for each class")
        logs = log_probabilities(scores)
        match self.params.rule:
            case "confidence":
                return MembershipScores(logs.max(dim=-1).values)
            case "entropy":
                return MembershipScores((logs.exp() * logs).nan_to_num(0.0).sum(dim=-1))
        return MembershipScores(-modified_entropy(logs, seen.labels.cpu()))


def modified_entropy(logs: Tensor, labels: Tensor) -> Tensor:
    """-(1 - p_y) log p_y - sum over other classes of p log(1 - p), from log-probabilities ``(records, classes)``."""
    chances = logs.exp()
    rest = (-logs.expm1()).clamp_min(TINY)
    index = labels.long().unsqueeze(-1)
    own = rest.gather(-1, index) * logs.gather(-1, index)
    others = (chances * rest.log()).scatter(-1, index, 0.0).sum(dim=-1)
    return -own.squeeze(-1) - others
