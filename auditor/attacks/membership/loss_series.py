"""Membership by the loss under a client's own models over rounds."""

from typing import ClassVar, Literal

from pydantic import Field

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import about, asked_clients, local_losses, over_rounds, received_losses
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
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """What the loss is compared with."""

        against: Literal["received", "nothing"] = Field(
            "received",
            description="received: fall of the loss from the model that the client received, which takes out how hard "
            "a record is; nothing: the loss itself, as in the papers.",
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One query a candidate and round, or two."""
        return Cost(queries=2 if self.params.against == "received" else 1)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Mean fall of the loss over the client's rounds (or minus the mean loss)."""
        assert isinstance(seen, Rounds)
        clients = asked_clients(seen)
        figures = -local_losses(seen, known.model, context).asked(clients)
        if self.params.against == "received":
            received = received_losses(seen, known.model, context)
            both = min(len(figures), len(received))  # fewer where time ran out
            figures = figures[:both] + received[:both]
        return MembershipScores(over_rounds(figures), notes=(about(clients, len(figures)),))
