"""Membership by what a record gained between stored checkpoints."""

from typing import ClassVar

import torch
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.statistics import signal
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.learning.functional import FunctionalModel
from auditor.observations.released import Checkpoints, Observation
from auditor.observations.returned import MembershipScores

BATCH = 512


class CheckpointSeries:
    """How much a record gained from the earlier checkpoints to the last one.

    Jagielski et al., 2023, arXiv:2205.06369 (score difference of model updates), on the series of Liu et al., 2022,
    arXiv:2208.14933: earlier checkpoints say how hard a record is, as a reference model would (Watson et al., 2022,
    arXiv:2111.08440); what is learned after them is learned on members.
    """

    name: ClassVar[str] = "membership/checkpoint-series"
    title: ClassVar[str] = "Membership by what a record gained between stored checkpoints"
    paper: ClassVar[str] = "Jagielski et al., 2023, arXiv:2205.06369"
    needs: ClassVar[Needs] = Needs(frozenset({Grant.CHECKPOINT}))
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Checkpoints,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """Nothing to choose."""

    def __init__(self, params: AttackParams) -> None:
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants; the number of checkpoints is checked on the observation."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One query a candidate and checkpoint."""
        return Cost(queries=1)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Statistic at the last checkpoint minus its mean over the earlier ones, shape ``(candidates,)``."""
        assert isinstance(seen, Checkpoints)
        if len(seen.states) < 2:
            raise AttackFailed(f"needs two checkpoints; {len(seen.states)} were handed on")
        model = FunctionalModel(known.model, device=context.device, batch_norm="eval")
        candidates = seen.candidates.to(context.device)
        rows: list[Tensor] = []
        for state in reversed(seen.states):  # the last one is needed, then the ones nearest to it
            if len(rows) >= 2 and context.out_of_time:
                context.shortened.append(f"{len(rows)} of {len(seen.states)} checkpoints fit before the deadline")
                break
            with torch.no_grad():
                outputs = torch.cat([model.outputs(state, part) for part in torch.split(candidates.inputs, BATCH)])
                losses = model.loss(outputs, candidates.labels)
            rows.append(signal(outputs, losses, candidates.labels, task=known.model.task))
        scores = rows[0] - torch.stack(rows[:0:-1]).mean(dim=0)
        return MembershipScores(scores, notes=(f"{len(rows)} checkpoints",))
