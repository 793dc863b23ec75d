"""A hidden attribute of a known record, from the model's answers on each value it may have."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.ensemble import ExtraTreesClassifier
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.forests import grow
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import Column
from auditor.observations.records import Records
from auditor.observations.released import MaskedRecords, Observation
from auditor.observations.returned import Attributions

SMALLEST_CHANCE = 1e-6
TREES = 200
TREE_SECONDS = 2e-6
"""Of one forest, for each record and feature: measured, one core."""


class AttributeInference:
    """The value under which the model knows the record's label best is likelier the true one.

    Yeom et al., 2018, arXiv:1709.01604, section 5 (attribute inference), with the attribute's chance given the rest
    of the record as prior, as in Jayaraman and Evans, 2022, arXiv:2209.01292. Their lesson: read the accuracy against
    imputation without any model (:func:`imputed`), or statistics pass for a leak.
    """

    name: ClassVar[str] = "inference/attribute"
    title: ClassVar[str] = "A hidden attribute of a known record"
    paper: ClassVar[str] = "Yeom et al., 2018, arXiv:1709.01604, section 5"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.MODEL_QUERIES, Grant.POPULATION_DATA}),
        modalities=frozenset({Modality.TABULAR}),
        traits={"categorical_column": "asks for a categorical column; the table has none"},
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (MaskedRecords,)
    attack_class: ClassVar[str] = "attribute"

    class Params(AttackParams):
        """Which column, and how much the model's answer counts against the prior."""

        column: str | None = Field(
            None,
            description="Name of the categorical column that is asked about; None = the one whose commonest value is "
            "rarest among population records, where imputation leaves most to be learned.",
        )
        weight: Annotated[float, Field(ge=0)] = Field(
            1.0, description="1 = Bayes' rule for a model whose loss is a negative log-likelihood; 0 = prior alone."
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """The column is checked when it is asked for."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One query for each value (two stand for the least there can be), and two forests: prior and baseline."""
        return Cost(queries=2, seconds=2 * TREE_SECONDS * shape.population * math.prod(shape.input_shape))

    def asked_column(self, columns: Sequence[Column], population: Records) -> Column:
        """The column of the parameters, or the one that is hardest to guess.

        Raises:
            AttackFailed: where there is none of that name, or none that is categorical.
        """
        known = {column.name: column for column in columns if column.kind == "categorical"}
        if self.params.column is not None:
            if self.params.column not in known:
                raise AttackFailed(f"there is no categorical column '{self.params.column}'; there are {sorted(known)}")
            return known[self.params.column]
        if not known:
            raise AttackFailed("the table has no categorical column")

        def commonest(column: Column) -> int:
            return int(slots(population.inputs, column).bincount().max())

        return min(known.values(), key=commonest)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Attributions:
        """Log-posterior of each value, ``(candidates, values)``."""
        assert isinstance(seen, MaskedRecords)
        if known.population is None:
            raise AttackFailed("population records are missing")
        if seen.column.kind != "categorical":
            raise AttackFailed(f"column '{seen.column.name}' is {seen.column.kind}; the attack asks for a category")
        model = FunctionalModel(known.model, device=context.device, batch_norm="eval")
        state, candidates = model.complete(seen.state), seen.candidates.to(context.device)
        prior = imputed(
            known.population, seen.candidates, seen.column, with_label=False, seed=context.seed, context=context
        )
        answers = []
        for value in prior.choices:
            if value and context.out_of_time:
                raise AttackFailed(f"time ended after {value} of {len(prior.choices)} values; none can be left out")
            with torch.no_grad():
                losses = model.losses(state, with_value(candidates, seen.column, value))
            answers.append(-losses.double().cpu())
        scores = prior.scores + self.params.weight * torch.stack(answers, dim=1)
        return Attributions(scores, prior.choices, notes=(f"asked for column '{seen.column.name}'",))


def imputed(
    population: Records,
    candidates: Records,
    column: Column,
    *,
    with_label: bool,
    seed: int,
    context: RunContext | None = None,
) -> Attributions:
    """Log-chance of each value given the rest of the record, from population records alone.

    ``with_label=True`` is the baseline of an adversary without the model; ``False`` the prior of one with it, whose
    model brings in the label. With a ``context`` that has a deadline, fewer trees grow where time is short.

    Raises:
        AttackFailed: where no time is left at all.
    """
    values = slots(population.inputs, column)
    forest = ExtraTreesClassifier(TREES, min_samples_leaf=3, random_state=seed % 2**32)
    known = _rest(population, column, with_label=with_label)
    grow(forest, known, values.numpy(), context=context or RunContext(), share=0.8)
    found = np.full((len(candidates), column.stop - column.start), SMALLEST_CHANCE)
    found[:, forest.classes_] = forest.predict_proba(_rest(candidates, column, with_label=with_label))
    scores = torch.from_numpy(found).clamp_min(SMALLEST_CHANCE).log()
    return Attributions(scores, choices=tuple(range(found.shape[1])))


def slots(inputs: Tensor, column: Column) -> Tensor:
    """Which value of the column each record has, ``(records,)`` int64."""
    return inputs.detach().cpu().flatten(1)[:, column.start : column.stop].argmax(dim=1)


def with_value(records: Records, column: Column, value: int) -> Records:
    """The records with the column set to one value."""
    inputs = records.inputs.clone()
    inputs[:, column.start : column.stop] = 0
    inputs[:, column.start + value] = 1
    return Records(inputs, records.labels)


def masked(records: Records, column: Column) -> Records:
    """The records with the column set to zeros, as an adversary knows them."""
    inputs = records.inputs.clone()
    inputs[:, column.start : column.stop] = 0
    return Records(inputs, records.labels)


def _rest(records: Records, column: Column, *, with_label: bool) -> NDArray[np.float64]:
    inputs = records.inputs.detach().cpu().flatten(1).double()
    parts = [inputs[:, : column.start], inputs[:, column.stop :]]
    if with_label:
        parts.append(records.labels.detach().cpu().double().reshape(len(inputs), -1))
    return torch.cat(parts, dim=1).numpy()
