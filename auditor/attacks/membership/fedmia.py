"""Membership in one client's data with all other clients as the null."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.special import ndtr

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import Trace, about, alignments, asked_clients, local_losses, over_rounds
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.released import Observation, Rounds
from auditor.observations.returned import MembershipScores

LEAST_OTHERS = 3
SMALLEST_DEVIATION = 1e-9


class FedMia:
    """Compare a client's figure on a record with the figures of all other clients, round by round.

    Zhu et al., 2025, arXiv:2402.06289: the other clients of a round give a Gaussian null for each record;
    the probability below the target client's figure is averaged over rounds. Variant I uses the loss under
    the client's model, variant II the cosine between the record's gradient and the client's update.
    """

    name: ClassVar[str] = "membership/fedmia"
    title: ClassVar[str] = "Membership in one client's data against all other clients (FedMIA)"
    paper: ClassVar[str] = "Zhu et al., 2025, arXiv:2402.06289"
    needs: ClassVar[Needs] = Needs(frozenset({Grant.CLIENT_UPDATE, Grant.ALL_ROUNDS}))
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """What is compared."""

        signal: Literal["gradient", "loss"] = Field("gradient", description="gradient: variant II; loss: variant I.")

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Other clients to compare with."""
        if shape.aggregated_clients > LEAST_OTHERS:
            return []
        return [f"needs {LEAST_OTHERS + 1} clients in a round; the federation has {shape.aggregated_clients}"]

    def cost(self, shape: TargetShape) -> Cost:
        """A gradient (or a query) of each candidate in each round."""
        if self.params.signal == "loss":
            return Cost(queries=1)
        return Cost(gradient_evaluations=shape.members + shape.nonmembers)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Mean over rounds of the Gaussian probability below the client's figure."""
        assert isinstance(seen, Rounds)
        clients = asked_clients(seen)
        if self.params.signal == "gradient":
            trace = alignments(seen, known.model, context)
        else:
            losses = local_losses(seen, known.model, context)
            trace = Trace(-losses.values, losses.senders)
        return _compared(trace, clients)


def _compared(trace: Trace, clients: Tensor) -> MembershipScores:
    places = torch.tensor([trace.senders.index(client) for client in clients.tolist()])
    rows = [_probability(figures, places) for figures in trace.values]
    if all(bool(row.isnan().all()) for row in rows):
        raise AttackFailed(f"no round holds updates of the client and of at least {LEAST_OTHERS} other clients")
    usable = sum(not bool(row.isnan().all()) for row in rows)
    note = f"{about(clients, usable)}; {LEAST_OTHERS} or more other clients in each"
    return MembershipScores(over_rounds(torch.stack(rows)), notes=(note,))


def _probability(figures: Tensor, places: Tensor) -> Tensor:
    """Gaussian probability below the asked client's figure; NaN where it or too many others took no part.

    Args:
        figures: Of one round, ``(senders, candidates)``.
        places: The asked sender of each candidate.
    """
    own = figures.gather(0, places.unsqueeze(0)).squeeze(0)
    others = (~figures.isnan()).sum(dim=0) - 1
    mean = (figures.nansum(dim=0) - own) / others
    squares = (figures - mean).square().nansum(dim=0) - (own - mean).square()
    deviation = (squares / (others - 1)).clamp_min(0).sqrt().clamp_min(SMALLEST_DEVIATION)
    return torch.where(others >= LEAST_OTHERS, ndtr((own - mean) / deviation), torch.nan)
