"""Exact table rows of a batch from the gradient of a linear first layer that feeds a ReLU."""

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.evidence import Update, as_update, step_weight
from auditor.attacks.inversion.linear_layer import first_layer, first_linear
from auditor.attacks.inversion.row_patterns import Split, split
from auditor.attacks.inversion.row_span import RowSpan, candidates_in, row_span
from auditor.attacks.inversion.unknowns import Unknowns
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape
from auditor.observations.model import SharedModel
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_ONE_HOT = 0.1
_TYPICAL = 500
_RARE = 4.0
_TESTS_A_PASS = 500
"""Candidates whose test costs about as much as one pass of a small network over the batch."""


class TableSpan:
    """Rows with one category in each column that lie in the gradient's span, tested by the neurons they silence.

    The first layer's gradient is (gradient at its outputs) x (rows): its span holds the batch's rows and few others
    with exactly one category in each column (the span check of Petrov et al., 2024, arXiv:2405.15586, there for
    tokens). A row says which ReLUs it silences, and the gradient at the layer's outputs is zero there (Dimitrov et
    al., 2024, arXiv:2403.03945): so each candidate is tested once where that attack samples at a cost of 2^rows. With
    a direction for each row the numbers follow exactly. Both ideas are published; their union here is not.
    """

    name: ClassVar[str] = "inversion/table-span"
    title: ClassVar[str] = "Exact table rows from the first layer's gradient"
    paper: ClassVar[str] = "after Petrov et al., 2024, arXiv:2405.15586, and Dimitrov et al., 2024, arXiv:2403.03945"
    needs: ClassVar[Needs] = Needs(
        frozenset(),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE}),
        modalities=frozenset({Modality.TABULAR}),
        traits={
            "continuous_input": "the input is not continuous",
            "categorical_column": "no column is categorical, and rows are sought by their categories",
            "first_layer_linear": "the first trainable layer is not linear on the flattened input",
            "first_layer_bias": "the first layer has no bias, which tells a row from its multiples",
        },
    )
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"
    experimental: ClassVar[bool] = True

    class Params(AttackParams):
        """Defaults for a minute on a CPU."""

        candidates: Annotated[int, Field(ge=1)] = Field(
            100_000, description="Rows in the span that are tested; where more fit, the batch is too large."
        )
        tests: Annotated[int, Field(ge=1)] = Field(
            200_000,
            description="Tests of a row, at most: where its categories leave numbers open, it is tested with many.",
        )

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        if shape.records_per_update == 1:
            return ["is for batches; one record is the linear-layer attack's"]
        features = shape.input_shape[0] if shape.input_shape else 0
        if shape.records_per_update > features:
            return [f"{shape.records_per_update} records an update leave no row of {features} values excluded"]
        return []

    def cost(self, shape: TargetShape) -> Cost:
        return Cost(gradient_evaluations=max(1, self.params.tests // _TESTS_A_PASS))

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """The rows of the batch, in no order; those that are not found are missing.

        Raises:
            AttackFailed: where the span of the gradient excludes too little, or holds no row of a table.
        """
        update = as_update(seen)
        weight, bias = first_layer(update, known.model)
        before = _before(update, known.model)
        span = row_span(weight, bias, noise=_noise(update, before))
        candidates = candidates_in(span, known.model.preprocessing.columns, most=self.params.candidates)
        typical = _typical(known, weight.shape[1], context)
        found = split(span, candidates, before, context, typical=typical, tests=self.params.tests)
        rows, agreement = _solved(span, found, Unknowns.of(known.model, device="cpu"))
        return Reconstruction(
            rows.to(weight.dtype).reshape(-1, *known.model.shape.input_shape),
            confidence=agreement.float(),
            iterations=1,
            notes=(
                f"{len(candidates.rows)} rows with one category in each column lie in the gradient's span; "
                f"{len(found)} of {span.rank} independent rows were told apart by the neurons that they silence.",
            ),
        )


def _typical(known: Knowledge, features: int, context: RunContext) -> Tensor:
    """Rows of the population in random order, or standard normal numbers, with a zero behind each.

    After them come the same rows four times as far from their mean, for numbers that are rare.
    """
    generator = context.generator()
    if known.population is None:
        rows = torch.randn(_TYPICAL, features, generator=generator)
    else:
        order = torch.randperm(len(known.population), generator=generator)[:_TYPICAL]
        rows = known.population.inputs[order].float().cpu().flatten(1)
    rows = torch.cat([rows, rows.mean(0) + _RARE * (rows - rows.mean(0))])
    return torch.cat([rows, torch.zeros(len(rows), 1)], 1)


def _before(update: Update, model: SharedModel) -> Tensor:
    """Weight and bias of the first layer as the client got them, ``(neurons, features + 1)``."""
    name = first_linear(model)
    weight, bias = update.before[f"{name}.weight"], update.before[f"{name}.bias"]
    return torch.cat([weight, bias[:, None]], 1).detach().cpu()


def _noise(update: Update, before: Tensor) -> float:
    """Standard deviation of a coordinate of the mean gradient, by noise and, for a difference of weights, rounding."""
    if update.kind == "gradient":
        return update.privatisation.noise_std
    rounding = float(before.abs().max()) * torch.finfo(torch.float32).eps / 12**0.5
    return math.hypot(update.privatisation.noise_std, rounding * max(1, update.local.steps) ** 0.5) / step_weight(
        update.local
    )


def _solved(span: RowSpan, found: Split, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
    """Rows ``(found, features)`` and how sure each is.

    With all directions the rows are their inverse, and the one that the bias reads sets the lengths. What is not
    one-hot then shows that a direction is wrong, and the candidates themselves are returned, as they are where some
    directions are missing.
    """
    if len(found) == span.rank:
        exact = torch.linalg.inv(found.directions / span.sizes[:, None]) @ span.basis
        exact = exact[:, :-1] / exact[:, -1:]
        if float((unknowns.harden(exact) - exact).abs().max()) < _ONE_HOT:
            return unknowns.harden(exact), torch.ones(len(exact))
    rows = (found.rows @ span.basis)[:, :-1]
    return unknowns.harden(rows), found.agreement
