"""Whose record is it? The client that a training record comes from."""

from typing import ClassVar, Literal

import torch
from pydantic import Field

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import local_losses
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.released import Observation, Rounds
from auditor.observations.returned import Attributions


class SourceInference:
    """A training record has its smallest loss under the model of the client that holds it.

    Hu et al., 2021, arXiv:2109.05659 (SIA): the candidates are known members of the federation; the question is
    whose. Useful to an adversary where a client is a hospital or a person.
    """

    name: ClassVar[str] = "inference/source"
    title: ClassVar[str] = "Which client a training record comes from"
    paper: ClassVar[str] = "Hu et al., 2021, arXiv:2109.05659"
    needs: ClassVar[Needs] = Needs(frozenset({Grant.CLIENT_UPDATE, Grant.ALL_ROUNDS}))
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "attribute"

    class Params(AttackParams):
        """Which rounds count."""

        rounds: Literal["all", "last"] = Field(
            "all", description="all: mean loss over rounds, less noisy; last: the models of each client's last round."
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One query a candidate, client and round."""
        return Cost(queries=1)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Attributions:
        """Minus the loss under each client's models."""
        assert isinstance(seen, Rounds)
        trace = local_losses(seen, known.model, context)
        rows = []
        for client in trace.senders:
            mine = trace.of(client)
            rows.append(mine[-1] if self.params.rounds == "last" and len(mine) else mine.mean(dim=0))
        losses = torch.stack(rows, dim=1)
        # Where time ran out before a client took part, nothing speaks for it or against it.
        losses = torch.where(losses.isnan(), losses.nanmean(dim=1, keepdim=True), losses)
        return Attributions(-losses, choices=trace.senders)
