"""Membership by a record's place among population records of its own class."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.statistics import signal
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape, Task
from auditor.observations.released import Observation, Queries
from auditor.observations.returned import MembershipScores

SMALLEST_VARIANCE = 1e-12


class PopulationThreshold:
    """A record that fits better than other records of its class is more likely a member.

    Ye et al., 2022, arXiv:2111.09679, Attack-P, with thresholds for each class as in Song and Mittal, 2021,
    arXiv:2003.10595. One threshold for all classes would rank as the loss does.
    """

    name: ClassVar[str] = "membership/population-threshold"
    title: ClassVar[str] = "Membership by comparison with other records of the class"
    paper: ClassVar[str] = "Ye et al., 2022, arXiv:2111.09679, Attack-P"
    needs: ClassVar[Needs] = Needs(frozenset({Grant.MODEL_QUERIES, Grant.POPULATION_DATA}))
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Queries,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """How much a class of few records leans on all records."""

        prior_records: Annotated[float, Field(gt=0)] = Field(
            20.0, description="How many records the mean and variance over all classes count for."
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Some population must be there."""
        return [] if shape.population else ["needs population records; the target has none"]

    def cost(self, shape: TargetShape) -> Cost:
        """One query a candidate, and one a population record."""
        return Cost(queries=1)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Standard deviations above the class mean, shape ``(candidates,)``."""
        assert isinstance(seen, Queries)
        if known.population is None or known.population_outputs is None or known.population_losses is None:
            raise AttackFailed("the model's answers on population records are missing")
        task = known.model.task
        mine = signal(seen.outputs, seen.losses, seen.labels, task=task)
        labels = known.population.labels
        theirs = signal(known.population_outputs, known.population_losses, labels, task=task)
        groups = torch.zeros(len(theirs), dtype=torch.int64), torch.zeros(len(mine), dtype=torch.int64)
        if task == Task.CLASSIFICATION:
            groups = labels.long().cpu(), seen.labels.long().cpu()
        return MembershipScores(self._standardised(mine.cpu(), groups[1], theirs.cpu(), groups[0]))

    def _standardised(self, mine: Tensor, own: Tensor, theirs: Tensor, groups: Tensor) -> Tensor:
        prior = self.params.prior_records
        size = int(torch.cat([own, groups]).max()) + 1
        counts = torch.zeros(size, dtype=theirs.dtype).index_add_(0, groups, torch.ones_like(theirs))
        sums = torch.zeros(size, dtype=theirs.dtype).index_add_(0, groups, theirs)
        means = (sums + prior * theirs.mean()) / (counts + prior)
        squares = torch.zeros(size, dtype=theirs.dtype).index_add_(0, groups, (theirs - means[groups]) ** 2)
        pooled = ((theirs - means[groups]) ** 2).mean()
        spread = ((squares + prior * pooled) / (counts + prior)).clamp_min(SMALLEST_VARIANCE).sqrt()
        return (mine - means[own]) / spread[own]
