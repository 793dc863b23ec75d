"""Membership in one client's data with all other clients as the null."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.special import ndtr

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import Trace, alignments, asked_client, local_losses
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
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """What is compared."""

        signal: Literal["gradient", "loss"] = Field("gradient", description="gradient: variant II; loss: variant I.")

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants; the number of clients is checked on the log."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """A gradient (or a query) of each candidate in each round."""
        if self.params.signal == "loss":
            return Cost(queries=1)
        return Cost(gradient_evaluations=shape.members + shape.nonmembers)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Mean over rounds of the Gaussian probability below the client's figure."""
        assert isinstance(seen, Rounds)
        client = asked_client(seen)
        if self.params.signal == "gradient":
            trace = alignments(seen, known.model, context)
        else:
            losses = local_losses(seen, known.model, context)
            trace = Trace(-losses.values, losses.senders)
        return _compared(trace, client)


def _compared(trace: Trace, client: int) -> MembershipScores:
    place = trace.senders.index(client)
    own, others = trace.values[:, place], _without(trace.values, place)
    counts = (~others.isnan()).sum(dim=1)
    usable = (counts[:, 0] >= LEAST_OTHERS) & ~own[:, 0].isnan()
    if not bool(usable.any()):
        raise AttackFailed(f"no round holds updates of the client and of at least {LEAST_OTHERS} other clients")
    own, others, counts = own[usable], others[usable], counts[usable]
    mean = others.nanmean(dim=1)
    variance = (others - mean.unsqueeze(1)).square().nansum(dim=1) / (counts - 1)
    probability = ndtr((own - mean) / variance.sqrt().clamp_min(SMALLEST_DEVIATION))
    note = f"{int(usable.sum())} rounds, {int(counts[:, 0].min())} or more other clients in each"
    return MembershipScores(probability.mean(dim=0), notes=(note,))


def _without(values: Tensor, place: int) -> Tensor:
    return torch.cat([values[:, :place], values[:, place + 1 :]], dim=1)
