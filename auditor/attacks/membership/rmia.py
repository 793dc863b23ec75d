"""The relative attack: how much likelier is the record under this model than under any model?"""

import math
from itertools import islice
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, ReferenceModels, RunContext
from auditor.attacks.membership.references import NEEDS, as_target, required_references
from auditor.attacks.membership.statistics import likelihood
from auditor.core.shape import TargetShape, Task
from auditor.observations.released import Observation, Queries
from auditor.observations.returned import MembershipScores

OFFSETS = (0.0, 0.3, 0.6, 0.8, 1.0)
TEMPERATURES = (1.0, 2.0, 4.0)
REHEARSALS = 8
"""Reference models that play the target; more would move the choice little and cost their square."""


class Setting(NamedTuple):
    """RMIA's two constants: how models without a record stand in for all models, and the softmax temperature."""

    offset: float
    temperature: float


class Rmia:
    """Membership by the ratio of a record's likelihood under this model to its likelihood under others.

    Zarifzadeh et al., 2024, arXiv:2312.03262, equations 2 and 10, in ratio form. RMIA counts how many
    population records have a smaller ratio; the count is a monotone function of the ratio that adds ties, so
    the ratio itself is the score (BASE, arXiv:2603.11799; InfoRMIA, arXiv:2510.05582, differs by a constant).
    The constants are not universal, so they are learned on reference models that play the target.
    """

    name: ClassVar[str] = "membership/rmia"
    title: ClassVar[str] = "Membership by relative likelihood (RMIA)"
    paper: ClassVar[str] = "Zarifzadeh et al., 2024, arXiv:2312.03262, equations 2 and 10"
    needs: ClassVar[Needs] = NEEDS
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (Queries,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """Which likelihood stands below the ratio."""

        mode: Literal["offline", "online"] = Field(
            "offline",
            description="offline: only models without the record; online with temperature 1 is BASE.",
        )
        offset: Annotated[float, Field(ge=0, le=1)] | None = Field(
            None, description="The paper's a (offline only); None = learned on a reference model."
        )
        temperature: Annotated[float, Field(gt=0)] | None = Field(
            None, description="Of the softmax; None = learned on a reference model."
        )
        reference_models: Annotated[int, Field(ge=1)] = Field(
            4, description="The paper's point: 1 to 4 models are enough."
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Nothing beyond the grants."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One query a candidate, and the shared reference models."""
        return Cost(queries=1, reference_models=self.params.reference_models)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Log-ratio of each candidate, shape ``(candidates,)``."""
        assert isinstance(seen, Queries)
        references = required_references(known, least=1)
        task = known.model.task
        setting, note = self._setting(references, seen.labels, task)
        target = likelihood(seen.outputs, seen.losses, seen.labels, task=task, temperature=setting.temperature)
        others = likelihood(
            references.outputs, references.losses, seen.labels, task=task, temperature=setting.temperature
        )
        scores = self._ratio(target, others, references.included.cpu(), setting.offset)
        return MembershipScores(scores, notes=(note,))

    def _ratio(self, target: Tensor, others: Tensor, included: Tensor, offset: float) -> Tensor:
        if self.params.mode == "online":
            return target - balanced_mean(others, included)
        return target - offline_mean(others, included, offset=offset)

    def _setting(self, references: ReferenceModels, labels: Tensor, task: Task) -> tuple[Setting, str]:
        grid = [Setting(a, t) for a in self._offsets() for t in self._temperatures()]
        if len(grid) == 1:
            return grid[0], f"offset {grid[0].offset:g} and temperature {grid[0].temperature:g} as given"
        if len(references) < 3:
            chosen = Setting(self._offsets()[-1], self._temperatures()[0])
            return chosen, f"offset {chosen.offset:g}, temperature {chosen.temperature:g}: too few models to learn them"
        chosen = max(grid, key=lambda setting: self._rehearsal(references, labels, task, setting))
        return chosen, f"offset {chosen.offset:g}, temperature {chosen.temperature:g}, learned on reference models"

    def _offsets(self) -> tuple[float, ...]:
        if self.params.mode == "online":
            return (1.0,)
        return OFFSETS if self.params.offset is None else (self.params.offset,)

    def _temperatures(self) -> tuple[float, ...]:
        return TEMPERATURES if self.params.temperature is None else (self.params.temperature,)

    def _rehearsal(self, references: ReferenceModels, labels: Tensor, task: Task, setting: Setting) -> float:
        """Mean of AUC plus TPR at 1 % when reference models play the target and the others attack them.

        AUC alone would choose constants that are weak at the low false-positive rates that are reported first.
        """
        values = likelihood(references.outputs, references.losses, labels, task=task, temperature=setting.temperature)
        included, worth = references.included.cpu(), []
        for index, allowed in islice(as_target(included), REHEARSALS):
            if len(allowed):
                ratio = self._ratio(values[index], values[allowed], included[allowed], setting.offset)
                truth = included[index]
                worth.append(area(ratio, truth) + early_rate(ratio, truth))
        return sum(worth) / len(worth) if worth else 0.5


def balanced_mean(others: Tensor, included: Tensor) -> Tensor:
    """log of (mean p over models with the record + mean p over those without) / 2, ``(candidates,)``.

    Where one side is empty the other stands for both.
    """
    within, without = _log_mean(others, included), _log_mean(others, ~included)
    both = torch.logaddexp(within, without) - math.log(2)
    return torch.where(within.isneginf(), without, torch.where(without.isneginf(), within, both))


def offline_mean(others: Tensor, included: Tensor, *, offset: float) -> Tensor:
    """log of ((1 + a) p_out + (1 - a)) / 2: the paper's stand-in for the mean over all models, equation 10.

    For likelihoods that are no probabilities (a regression's), the constant 1 is the likelihood at loss 0.
    A record that every model saw takes the mean over all of them.
    """
    without = _log_mean(others, ~included)
    without = torch.where(without.isneginf(), _log_mean(others, torch.ones_like(included)), without)
    if offset == 1.0:
        return without
    scaled = without + math.log((1 + offset) / 2)
    return torch.logaddexp(scaled, scaled.new_tensor(math.log((1 - offset) / 2)))


def _log_mean(values: Tensor, mask: Tensor) -> Tensor:
    kept = torch.where(mask, values, torch.full_like(values, -torch.inf))
    return kept.logsumexp(dim=0) - mask.sum(dim=0).clamp_min(1).to(values.dtype).log()


def area(scores: Tensor, included: Tensor) -> float:
    """AUC by counting, ties as one half; 0.5 where one side is empty."""
    inside, outside = scores[included], scores[~included].sort().values
    if not len(inside) or not len(outside):
        return 0.5
    below = torch.searchsorted(outside, inside) + torch.searchsorted(outside, inside, right=True)
    return float(below.double().mean() / (2 * len(outside)))


def early_rate(scores: Tensor, included: Tensor, *, fpr: float = 0.01) -> float:
    """Share of included records strictly above all but a share ``fpr`` of the others; 0 where one side is empty."""
    inside, outside = scores[included], scores[~included].sort(descending=True).values
    if not len(inside) or not len(outside):
        return 0.0
    return float((inside > outside[int(fpr * len(outside))]).double().mean())
