"""Membership by the loss under a client's own models over rounds."""

from typing import ClassVar

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import asked_client, local_losses
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.released import Observation, Rounds
from auditor.observations.returned import MembershipScores


class LossSeries:
    """The loss of a member is small under its client's model in every round, not only in the last.

    Gu et al., 2022, CS-MIA (Information Sciences 610), the series of confidences without its learned classifier;
    "loss-series" in Zhu et al., 2025, arXiv:2402.06289, table 1.
    """

    name: ClassVar[str] = "membership/loss-series"
    title: ClassVar[str] = "Membership by the loss of a client's models over rounds"
    paper: ClassVar[str] = "Gu et al., 2022, CS-MIA, Information Sciences 610"
    needs: ClassVar[Needs] = Needs(frozenset({Grant.CLIENT_UPDATE, Grant.ALL_ROUNDS}))
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """Nothing to choose."""

    def __init__(self, params: AttackParams) -> None:
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One query a candidate and round."""
        return Cost(queries=1)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Minus the mean loss over the client's rounds."""
        assert isinstance(seen, Rounds)
        client = asked_client(seen)
        losses = local_losses(seen, known.model, context).of(client)
        return MembershipScores(-losses.mean(dim=0), notes=(f"{len(losses)} updates of the client",))
