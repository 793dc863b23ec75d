"""Membership in one client's data from sums alone, by who took part in which round."""

from typing import ClassVar

import torch
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import alignments, asked_clients
from auditor.core.errors import AttackDoesNotApply
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.released import Observation, Rounds
from auditor.observations.returned import MembershipScores


class CohortUnmixing:
    """Secure aggregation hides a client in each round; changing cohorts give it away over many rounds.

    After Kerkouche et al., 2023, PROLIN, arXiv:2303.03908: a figure of each round's aggregate (here the cosine with
    a candidate's gradient) is a sum over the clients that took part, so least squares on the participation
    matrix gives each client's share.
    """

    name: ClassVar[str] = "membership/cohort-unmixing"
    title: ClassVar[str] = "Membership from sums over changing cohorts"
    paper: ClassVar[str] = "Kerkouche et al., 2023, PROLIN, arXiv:2303.03908"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.AGGREGATE_UPDATE, Grant.ALL_ROUNDS}),
        traits={
            "changing_cohorts": "needs cohorts that change over at least as many rounds as there are clients; "
            "see federation.participation"
        },
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """Nothing to choose."""

    def __init__(self, params: AttackParams) -> None:
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants; cohorts are checked on the log."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """A gradient of each candidate in each round."""
        return Cost(gradient_evaluations=shape.members + shape.nonmembers)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """The client's coefficient in a candidate's cosine with the aggregates."""
        assert isinstance(seen, Rounds)
        clients = asked_clients(seen)
        part = participation(seen)
        places = torch.tensor([seen.clients.index(client) for client in clients.tolist()])
        told = singled_out(part)[places]
        if not bool(told.any()):
            raise AttackDoesNotApply(
                f"the cohorts of {len(part)} rounds do not single out client {int(clients.min())}; they must change, "
                f"over at least {len(seen.clients)} rounds"
            )
        cosines = alignments(seen, known.model, context, aggregate=True).values[:, 0]
        part = part[: len(cosines)]  # fewer where time ran out
        # Standardised within a round: the aggregate's own size then says nothing about a candidate.
        centred = cosines - cosines.mean(dim=1, keepdim=True)
        scaled = centred / cosines.std(dim=1, keepdim=True).clamp_min(1e-12)
        shares = torch.linalg.lstsq(part, scaled, driver="gelsd").solution
        note = f"{len(part)} rounds, cohorts of {int(part[:, :-1].sum(dim=1).mean().round())} of {len(seen.clients)}"
        scores = shares.gather(0, places.unsqueeze(0)).squeeze(0)
        if not bool(told.all()):
            note = f"{note}; of {int((~told).sum())} records' clients they say nothing"
            scores = torch.where(told, scores, scores[told].mean())
        return MembershipScores(scores, notes=(note,))


def participation(seen: Rounds) -> Tensor:
    """Who took part: ``(rounds, clients + 1)``, the last column the intercept."""
    rows = [[float(client in view.cohort) for client in seen.clients] + [1.0] for view in seen.rounds]
    return torch.tensor(rows, dtype=torch.float64)


def singled_out(part: Tensor) -> Tensor:
    """Which clients' columns can be told from the others, ``(clients,)`` bool.

    Not those that took part in every round, or always together with the same others. The intercept stays out: with
    cohorts of one size it is a sum of the clients' columns, and least squares of smallest norm still orders
    candidates.
    """
    columns = part[:, :-1]
    rank = int(torch.linalg.matrix_rank(columns))

    def alone(place: int) -> bool:
        rest = torch.cat([columns[:, :place], columns[:, place + 1 :]], dim=1)
        return int(torch.linalg.matrix_rank(rest)) < rank and not bool(columns[:, place].all())

    return torch.tensor([alone(place) for place in range(columns.shape[1])])
