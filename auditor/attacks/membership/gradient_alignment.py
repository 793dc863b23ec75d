"""Membership by the direction of a client's updates."""

from typing import ClassVar, Literal

from pydantic import Field

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import about, alignments, asked_clients, over_rounds
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.released import Observation, Rounds
from auditor.observations.returned import MembershipScores


class GradientAlignment:
    """A client's update points where the gradients of its records point.

    Li et al., 2022, arXiv:2111.00430, the cosine attack, per round; averaged over rounds it is the strongest
    simple attack of a server that keeps its log ("avg-cosine" in Zhu et al., 2025, arXiv:2402.06289). Where only sums
    are seen, it asks whether any client holds the record.
    """

    name: ClassVar[str] = "membership/gradient-alignment"
    title: ClassVar[str] = "Membership by the direction of a client's updates"
    paper: ClassVar[str] = "Li et al., 2022, arXiv:2111.00430, cosine attack"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.ALL_ROUNDS}), one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE})
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """Which rounds count."""

        rounds: Literal["all", "last"] = Field(
            "all", description="all: mean over rounds, which cancels the noise of batches; last: the paper's one round."
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """A gradient of each candidate in each round; the rounds are the federation's."""
        return Cost(gradient_evaluations=shape.members + shape.nonmembers)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Mean cosine between a candidate's descent direction and the client's updates (or the sums)."""
        assert isinstance(seen, Rounds)
        if not seen.senders:
            cosines = alignments(seen, known.model, context, aggregate=True).values[:, 0]
            note = f"{len(cosines)} sums; scores say whether any client holds the record"
        else:
            clients = asked_clients(seen)
            cosines = alignments(seen, known.model, context).asked(clients)
            note = about(clients, len(cosines))
        return MembershipScores(over_rounds(cosines, rounds=self.params.rounds), notes=(note,))
