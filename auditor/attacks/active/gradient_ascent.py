"""A malicious server or client worsens the model on the records it asks about, and sees which are repaired."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import (
    about,
    asked_clients,
    local_losses,
    over_rounds,
    received_losses,
    settled_losses,
)
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import State
from auditor.observations.records import Records
from auditor.observations.released import Observation, Rounds
from auditor.observations.returned import MembershipScores


class GradientAscent:
    """Gradient ascent on the candidates before each round; local training repairs members only.

    Nasr, Shokri and Houmansadr, 2019, arXiv:1812.00910, section IV-B, with the repair itself as the score in place of a
    learned attack model. A server sends the worsened model itself and reads what each client makes of it; a client
    moves the model there by its own update and reads what the others make of it, so it learns whether any of them
    holds the record. On small federations the same score without ascent (``membership/loss-series``) is stronger;
    the attack is here because catalogues name it, and because it works where honest training has converged.
    """

    name: ClassVar[str] = "membership/gradient-ascent"
    title: ClassVar[str] = "Membership by what a client repairs in a worsened model"
    paper: ClassVar[str] = "Nasr et al., 2019, arXiv:1812.00910, section IV-B"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.JOINS_MANY_ROUNDS}), one_of=frozenset({Grant.ALTERS_MODEL, Grant.ALTERS_UPDATE})
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """How far, and how often, the model is worsened."""

        rate: Annotated[float, Field(gt=0)] = Field(
            0.01,
            description="Length of the ascent step relative to the weights; longer ones are not repaired in a round.",
        )
        rounds: Annotated[int, Field(ge=1)] = Field(
            3, description="Worsened rounds, at the end of the training; each one costs the model and may be noticed."
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One gradient over all candidates a round, and a query before and after."""
        return Cost(gradient_evaluations=1, queries=2)

    def worsened_rounds(self) -> int:
        """In how many rounds the model is worsened."""
        return self.params.rounds

    def altered(
        self, state: State, candidates: Records, model: FunctionalModel, *, turn: int
    ) -> dict[str, torch.Tensor]:
        """The model wanted in place of ``state``: moved up the candidates' mean loss."""
        gradient = model.gradient(state, candidates)
        size = torch.stack([state[name].norm() for name in gradient]).norm()
        slope = torch.stack([part.norm() for part in gradient.values()]).norm().clamp_min(1e-12)
        step = self.params.rate * size / slope
        return {name: tensor + step * gradient[name] if name in gradient else tensor for name, tensor in state.items()}

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Mean fall of each candidate's loss over a client's part in worsened rounds, ``(candidates,)``.

        From sums, minus the loss that is left: the fall then says how far the step had moved a record, not whose
        record was repaired. The log's ``before`` must be what :meth:`altered` made.
        """
        assert isinstance(seen, Rounds)
        if seen.senders:
            clients = asked_clients(seen)
            after = local_losses(seen, known.model, context).asked(clients)
            before = received_losses(seen, known.model, context)
            both = min(len(before), len(after))  # fewer where time ran out
            figures, note = before[:both] - after[:both], f"{about(clients, both)}, all worsened"
        else:
            figures = -settled_losses(seen, known.model, context)
            note = f"{len(figures)} worsened rounds; scores say whether any client holds the record"
        return MembershipScores(over_rounds(figures), notes=(note,))
