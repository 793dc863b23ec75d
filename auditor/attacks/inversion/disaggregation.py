"""Records of single clients from sums over rounds with changing cohorts."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.disaggregate import (
    Disaggregated,
    disaggregated,
    participation_from_counts,
    participation_known,
)
from auditor.attacks.inversion.handing_on import Handed, hand_on, inner_cost
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.model import Privatisation
from auditor.observations.released import ClientUpdate, Observation, SummedRounds
from auditor.observations.returned import Reconstruction


class GradientDisaggregation:
    """Sums over changing cohorts give away each client's update, which is then inverted as if it had been seen.

    Lam et al., 2021, arXiv:2106.06089. Who took part is known to a server that runs secure aggregation; the paper's
    server knows only how often each client did, which suffices to find the rest (``participation: summary``). Beyond
    the paper: the change that all updates share while the model learns is taken off, and what the fit leaves
    unexplained is handed on as noise, so that the inversion knows how far to trust the update.
    """

    name: ClassVar[str] = "inversion/gradient-disaggregation"
    title: ClassVar[str] = "Records of single clients from sums over changing cohorts"
    paper: ClassVar[str] = "Lam et al., 2021, arXiv:2106.06089"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.AGGREGATE_UPDATE, Grant.ALL_ROUNDS}),
        traits={
            "continuous_input": "the input is not continuous (tokens cannot be moved by a gradient)",
            "changing_cohorts": "needs cohorts that change over at least as many rounds as there are clients; "
            "see federation.participation",
        },
    )
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (SummedRounds,)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults: the server knows who took part, as secure aggregation tells it."""

        participation: Literal["known", "summary"] = Field(
            "known", description="'summary': only how often each client took part in each window is used."
        )
        window: Annotated[int, Field(ge=2)] = Field(10, description="Rounds of a window of the summary.")
        drift: Annotated[int, Field(ge=0, le=3)] = Field(
            1, description="Power of time up to which the change that all updates share is taken off."
        )
        iterations: Annotated[int, Field(ge=1)] = Field(500, description="Of gradient matching, where it is used.")
        unexplained: Annotated[float, Field(gt=0, le=1)] = Field(
            0.5, description="A fit that leaves more than this share of the sums is not handed on."
        )

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        return []

    def cost(self, shape: TargetShape) -> Cost:
        return inner_cost(shape, iterations=self.params.iterations)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """Records of the clients that are asked about.

        Raises:
            AttackFailed: where clients cannot be told apart, or the fit leaves most of the sums unexplained.
        """
        if not isinstance(seen, SummedRounds):
            raise AttackFailed(f"sums over rounds are needed; a {type(seen).__name__} was observed")
        if self.params.participation == "summary":
            taken, clients = participation_from_counts(seen, window=self.params.window)
        else:
            taken, clients = participation_known(seen)
        fits = disaggregated(seen, taken, clients, drift=self.params.drift)
        unexplained = fits[0].unexplained
        if unexplained > self.params.unexplained:
            raise AttackFailed(
                f"single updates leave {unexplained:.0%} of the sums over {len(seen.rounds)} rounds unexplained; "
                "they change too much from round to round"
            )
        pairs = zip(seen.asked, fits, strict=True)
        handed = [self._inverted(seen, client, fit, known, context) for client, fit in pairs]
        return _joined(handed, seen, unexplained)

    def _inverted(
        self, seen: SummedRounds, client: int, fit: Disaggregated, known: Knowledge, context: RunContext
    ) -> Handed:
        first, were = seen.rounds[0], seen.privatisation
        update = ClientUpdate(
            round=first.round,
            before=first.before,
            update=fit.update,
            kind=seen.kind,
            records=seen.records[client],
            local=seen.local,
            privatisation=Privatisation(were.clipping_norm, were.clipped, fit.noise_std),
        )
        return hand_on(update, known, context, iterations=self.params.iterations)


def _joined(handed: list[Handed], seen: SummedRounds, unexplained: float) -> Reconstruction:
    found = [each.found for each in handed]
    confidence = [each.confidence for each in found if each.confidence is not None]
    whole = len(confidence) == len(found)
    labels: list[Tensor] = [each.labels for each in found if each.labels is not None]
    how = ", ".join(sorted({each.by for each in handed}))
    return Reconstruction(
        torch.cat([each.inputs for each in found]),
        labels=torch.cat(labels) if len(labels) == len(found) else None,
        confidence=torch.cat(confidence) if whole else None,
        iterations=sum(each.iterations for each in found),
        notes=(
            f"{len(seen.rounds)} sums separated into the updates of {len(seen.asked)} clients, which leaves "
            f"{unexplained:.1%} of the sums unexplained; inverted by {how}.",
        ),
    )
