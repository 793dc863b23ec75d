"""Membership by the loss of the audited model alone."""

from typing import ClassVar

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.released import Observation, Queries
from auditor.observations.returned import MembershipScores


class LossThreshold:
    """A record with a small loss is more likely a member.

    Yeom et al., 2018, arXiv:1709.01604, adversary 2; as a score it equals the population attack (Attack-P) of
    Ye et al., 2022, arXiv:2111.09679, for a threshold set at a false-positive rate. Needs neither other
    records nor other models: what anyone with query access can do.
    """

    name: ClassVar[str] = "membership/loss-threshold"
    title: ClassVar[str] = "Membership by the model's loss"
    paper: ClassVar[str] = "Yeom et al., 2018, arXiv:1709.01604, adversary 2"
    needs: ClassVar[Needs] = Needs(frozenset({Grant.MODEL_QUERIES}))
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Queries,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """Nothing to choose."""

    def __init__(self, params: AttackParams) -> None:
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Applies to every target that answers queries."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One query a candidate."""
        return Cost(queries=1)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Score = minus the loss, shape ``(candidates,)``."""
        assert isinstance(seen, Queries)
        return MembershipScores(-seen.losses.cpu().double())
