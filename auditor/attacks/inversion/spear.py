"""Exact records of a batch from the gradient of a linear first layer that feeds a ReLU."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.evidence import as_update
from auditor.attacks.inversion.linear_layer import first_layer
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_ROUND = 4096
_SAME = 0.999
_ZERO = 1e-3
"""Exact gradients leave 1e-12 on a silent neuron, single precision 1e-5."""


@dataclass(frozen=True)
class _Factors:
    """Gradient ``weight = left @ right`` of rank ``b``: left ``(neurons, b)``, right ``(b, inputs)``."""

    left: Tensor
    right: Tensor


class Spear:
    """Splits the low-rank gradient where ReLU made it sparse.

    Dimitrov et al., 2024, arXiv:2403.03945, algorithm 1. The gradient of the first layer is (gradient at its
    outputs) x (records), of rank b for b records. Each column of the first factor is zero wherever its record left a
    neuron silent; a direction that is zero on b - 1 random rows and then turns out zero on many more is such a column.
    The bias gradient gives the lengths. The cost grows as 2^b. What is found must explain the gradient, else the
    attack says that it failed.
    """

    name: ClassVar[str] = "inversion/spear"
    title: ClassVar[str] = "Exact records of a batch from the first layer's gradient"
    paper: ClassVar[str] = "Dimitrov et al., 2024, arXiv:2403.03945, algorithm 1"
    needs: ClassVar[Needs] = Needs(
        frozenset(),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE}),
        traits={
            "continuous_input": "the input is not continuous",
            "first_layer_linear": "the first trainable layer is not linear on the flattened input",
            "first_layer_bias": "the first layer has no bias, which gives the lengths",
        },
    )
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults for seconds on a CPU."""

        records: Annotated[int, Field(ge=2)] = Field(12, description="Larger batches are not tried: cost is 2^records.")
        samples: Annotated[int, Field(ge=1)] = Field(400_000, description="Row subsets tried at most.")
        residual: Annotated[float, Field(gt=0)] = Field(
            1e-2, description="Share of the bias gradient that may stay unexplained."
        )

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        if shape.records_per_update > self.params.records:
            return [f"is for at most {self.params.records} records an update; here are {shape.records_per_update}"]
        return ["is for batches; one record is the linear-layer attack's"] if shape.records_per_update == 1 else []

    def cost(self, shape: TargetShape) -> Cost:
        return Cost(gradient_evaluations=64)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """All records of the batch, in no order.

        Raises:
            AttackFailed: where the rank is not the number of records, or no split explains the gradient.
        """
        update = as_update(seen)
        if not 2 <= update.records <= self.params.records:
            raise AttackFailed(
                f"{update.records} records stand behind the update; 2 to {self.params.records} are tried"
            )
        seen_weight, seen_bias = first_layer(update, known.model)
        weight, bias = seen_weight.double(), seen_bias.double()
        factors = _factorised(weight, update.records, update.privatisation.noise_std)
        columns = self._columns(factors, context)
        lengths = torch.linalg.lstsq(factors.left @ columns, bias[:, None]).solution.squeeze(1)
        mixing = columns * lengths
        unexplained = float((factors.left @ mixing.sum(1) - bias).norm() / bias.norm().clamp_min(1e-30))
        if unexplained > self.params.residual:
            raise AttackFailed(
                f"the split found leaves {unexplained:.0%} of the bias gradient unexplained, so it is not the records"
            )
        records = torch.linalg.solve(mixing, factors.right)
        return Reconstruction(
            records.to(seen_weight.dtype).reshape(-1, *known.model.shape.input_shape),
            confidence=torch.full((update.records,), 1 - unexplained),
            objective=unexplained,
            iterations=1,
            notes=(f"{unexplained:.1e} of the bias gradient stays unexplained.",),
        )

    def _columns(self, factors: _Factors, context: RunContext) -> Tensor:
        """Directions ``(b, b)``, one for each record, whose image under ``left`` is the sparsest."""
        left, size = factors.left, factors.left.shape[1]
        generator = context.generator()
        rows = left[left.norm(dim=1) > left.norm(dim=1).max() * 1e-9]
        unit = rows / rows.norm(dim=1, keepdim=True)
        found, zeros = torch.empty(size, 0, dtype=left.dtype), torch.empty(0, dtype=left.dtype)
        for _ in range(0, self.params.samples, _ROUND):
            picked = torch.rand(_ROUND, len(rows), generator=generator).topk(size - 1, dim=1).indices
            candidates = torch.linalg.svd(unit[picked]).Vh[:, -1]
            share = ((unit @ candidates.T).abs() < _ZERO).double().mean(0)
            good = share > (2.0 * (size - 1)) / len(rows) + 0.1
            merged = _merge(torch.cat([found, candidates[good].T], 1), torch.cat([zeros, share[good]]), size)
            found, zeros = merged
            if found.shape[1] >= size:
                break
            if context.out_of_time:
                context.shortened.append("the search for sparse directions ended at the deadline")
                break
        if found.shape[1] < size:
            raise AttackFailed(f"only {found.shape[1]} of {size} sparse directions were found in the gradient")
        return torch.stack([_refined(unit, column) for column in found.T[:size]], 1)


def _factorised(weight: Tensor, records: int, noise: float) -> _Factors:
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    limit = max(float(values[0]) * 1e-6, 1.05 * noise * (weight.shape[0] ** 0.5 + weight.shape[1] ** 0.5))
    rank = int((values > limit).sum())
    if rank != records:
        raise AttackFailed(f"the first layer's gradient has rank {rank}, not {records}, so it cannot be split")
    return _Factors(left[:, :records] * values[:records], right[:records])


def _refined(unit: Tensor, column: Tensor) -> Tensor:
    """The direction that is zero on many of the rows on which ``column`` is, not on the sampled ones alone.

    Only the smaller half of them: a few rows are near zero without being silent.
    """
    sizes = (unit @ column).abs()
    count = max(len(column) - 1, int((sizes < _ZERO).sum()) // 2)
    refined: Tensor = torch.linalg.svd(unit[sizes.argsort()[:count]], full_matrices=True).Vh[-1]
    return refined


def _merge(columns: Tensor, zeros: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The sparsest columns that are linearly independent, no two alike."""
    kept: list[int] = []
    for i in torch.argsort(zeros, descending=True).tolist():
        if len(kept) == size:
            break
        if all(abs(float(columns[:, i] @ columns[:, k])) < _SAME for k in kept):
            rank = torch.linalg.matrix_rank(columns[:, [*kept, i]], rtol=1e-6)
            if int(rank) == len(kept) + 1:
                kept.append(i)
    return columns[:, kept], zeros[kept]
