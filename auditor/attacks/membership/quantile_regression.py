"""Membership by how much better a record fits than its own features let expect."""

import math
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.forests import grow
from auditor.attacks.membership.statistics import signal
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape, Task
from auditor.observations.records import Records
from auditor.observations.released import Observation, Queries
from auditor.observations.returned import MembershipScores

Floats = NDArray[np.float64]
COMPONENTS = 48
TREES = 100
SMALLEST_VARIANCE = 1e-9
TREE_SECONDS = 1.3e-5
"""Of both forests, for each record and feature: measured, one core."""


class Fit(NamedTuple):
    """Expected statistic and its variance, for each candidate."""

    mean: Floats
    variance: Floats


class QuantileRegression:
    """Regress the model's statistic on a record's features, on population records; members exceed it.

    Bertran et al., 2023, arXiv:2307.03694, in the Gaussian form of its section 4: mean and variance are regressed,
    and the standardised excess is a threshold at every quantile at once. Needs no reference models. Fitted on
    population records alone, never on records that it scores; the variance is fitted on out-of-bag residuals,
    so it does not inherit the mean's own overfitting.
    """

    name: ClassVar[str] = "membership/quantile-regression"
    title: ClassVar[str] = "Membership by quantile regression on other records"
    paper: ClassVar[str] = "Bertran et al., 2023, arXiv:2307.03694"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.MODEL_QUERIES, Grant.POPULATION_DATA}),
        modalities=frozenset({Modality.IMAGE, Modality.TABULAR, Modality.TIMESERIES}),
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (Queries,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """How much population it asks for."""

        least_population: Annotated[int, Field(ge=50)] = Field(
            1000, description="With fewer records the regression is no better than one threshold for all."
        )
        most_population: Annotated[int, Field(ge=50)] | None = Field(
            10_000,
            description="Of more, so many are drawn: on a census of 40,791, 20,000 took twice as long for an AUC of "
            "0.582 instead of 0.579. None = all.",
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Enough population records."""
        if shape.population >= self.params.least_population:
            return []
        return [f"needs {self.params.least_population:,} population records; the target has {shape.population:,}"]

    def cost(self, shape: TargetShape) -> Cost:
        """One query a candidate, and two forests on the population."""
        records = min(shape.population, self.params.most_population or shape.population)
        columns = min(COMPONENTS, math.prod(shape.input_shape)) + max(1, shape.classes)
        return Cost(queries=1, seconds=TREE_SECONDS * records * columns * math.log2(max(2, records)) / math.log2(1e4))

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Standardised excess over the regression, shape ``(candidates,)``."""
        assert isinstance(seen, Queries)
        if seen.inputs is None or known.population is None:
            raise AttackFailed("the records themselves (candidates and population) are missing")
        if known.population_outputs is None or known.population_losses is None:
            raise AttackFailed("the model's answers on population records are missing")
        task = known.model.task
        mine = signal(seen.outputs, seen.losses, seen.labels, task=task).cpu().numpy()
        some = self._some(len(known.population), context)
        drawn, answers, losses = known.population[some], known.population_outputs[some], known.population_losses[some]
        theirs = signal(answers, losses, drawn.labels, task=task).cpu().numpy()
        population, candidates = _features(drawn, Records(seen.inputs, seen.labels), known.model.task)
        fit = _regress(population, theirs, candidates, context=context)
        return MembershipScores(torch.from_numpy((mine - fit.mean) / np.sqrt(fit.variance)))

    def _some(self, records: int, context: RunContext) -> Tensor:
        """The population records that are used: all in their order, or a draw."""
        most = self.params.most_population
        if most is None or records <= most:
            return torch.arange(records)
        return torch.randperm(records, generator=context.generator())[:most].sort().values


def _regress(population: Floats, values: Floats, candidates: Floats, *, context: RunContext) -> Fit:
    """Both forests; where time is short, each gets half of it, and fewer trees.

    Raises:
        AttackFailed: where no time is left for one of them.
    """
    seed = context.seed % 2**32
    mean, spread = _forest(seed), _forest(seed + 1)
    grow(mean, population, values, context=context, share=0.5)
    residuals = (values - mean.oob_prediction_) ** 2
    grow(spread, population, residuals, context=context)
    floor = max(SMALLEST_VARIANCE, 0.05 * float(residuals.mean()))
    return Fit(mean.predict(candidates), np.maximum(spread.predict(candidates), floor))


def _forest(seed: int) -> ExtraTreesRegressor:
    return ExtraTreesRegressor(TREES, min_samples_leaf=5, bootstrap=True, oob_score=True, random_state=seed % 2**32)


def _features(population: Records, candidates: Records, task: Task) -> tuple[Floats, Floats]:
    """Principal components of the population's inputs, and the label, for both."""
    inputs = [_rows(part.inputs) for part in (population, candidates)]
    if inputs[0].shape[1] > COMPONENTS:
        size = min(COMPONENTS, len(inputs[0]))
        pca = PCA(size, svd_solver="randomized", random_state=0).fit(inputs[0])
        inputs = [pca.transform(part) for part in inputs]
    labels = [_rows(part.labels) for part in (population, candidates)]
    if task == Task.CLASSIFICATION:
        classes = np.unique(labels[0])
        labels = [(part == classes[None, :]).astype(np.float64) for part in labels]
    joined = [np.concatenate(pair, axis=1) for pair in zip(inputs, labels, strict=True)]
    return joined[0], joined[1]


def _rows(values: Tensor) -> Floats:
    return values.detach().cpu().double().reshape(len(values), -1).numpy()
