"""A malicious server worsens its model on the records it asks about, and sees which a client repairs."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import add, asked_client
from auditor.core.errors import AttackFailed
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
    learned attack model. On small federations the same score without ascent (``membership/loss-series``) is stronger;
    the attack is here because catalogues name it, and because it works where honest training has converged.
    """

    name: ClassVar[str] = "membership/gradient-ascent"
    title: ClassVar[str] = "Membership by what a client repairs in a worsened model"
    paper: ClassVar[str] = "Nasr et al., 2019, arXiv:1812.00910, section IV-B"
    needs: ClassVar[Needs] = Needs(frozenset({Grant.CLIENT_UPDATE, Grant.ALTERS_MODEL, Grant.JOINS_MANY_ROUNDS}))
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """How far the model is worsened."""

        rate: Annotated[float, Field(gt=0)] = Field(
            0.01,
            description="Length of the ascent step relative to the weights; longer ones are not repaired in a round.",
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

    def altered(self, state: State, candidates: Records, model: FunctionalModel) -> dict[str, torch.Tensor]:
        """What the server sends in place of ``state``: moved up the candidates' mean loss."""
        gradient = model.gradient(state, candidates)
        size = torch.stack([state[name].norm() for name in gradient]).norm()
        slope = torch.stack([part.norm() for part in gradient.values()]).norm().clamp_min(1e-12)
        step = self.params.rate * size / slope
        return {name: tensor + step * gradient[name] if name in gradient else tensor for name, tensor in state.items()}

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Mean fall of each candidate's loss over the client's local training, ``(candidates,)``.

        The log's ``before`` must be what :meth:`altered` made.
        """
        assert isinstance(seen, Rounds)
        client = asked_client(seen)
        model = FunctionalModel(known.model, device=context.device, batch_norm="eval")
        candidates = seen.candidates.to(context.device)
        falls = []
        for view in seen.rounds:
            if client not in view.updates:
                continue
            with torch.no_grad():
                before = model.losses(view.before, candidates)
                after = model.losses(add(view.before, view.updates[client]), candidates)
            falls.append((before - after).cpu().double())
        if not falls:
            raise AttackFailed(f"the log holds no update of client {client} (secure aggregation)")
        return MembershipScores(torch.stack(falls).mean(dim=0), notes=(f"{len(falls)} worsened rounds",))
