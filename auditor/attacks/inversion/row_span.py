"""Which table rows an update can have come from: one-hot columns that fit the span of the first layer's gradient."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from auditor.core.errors import AttackFailed
from auditor.observations.model import Column

_ROUNDING = 4e-8
"""Directions below this share of the largest are rounding: single precision leaves some 2e-8."""
_SIDE = 300_000
_TREE_AXES = 8
_PRESENT = 1e-3


@dataclass(frozen=True)
class RowSpan:
    """The span of the batch's rows, each with a one behind it that the bias reads.

    Attributes:
        left: Orthonormal columns, ``(neurons, rank)``; the gradient of weight and bias is ``(left * sizes) @ basis``.
        sizes: Singular values, ``(rank,)``.
        basis: Orthonormal, ``(rank, features + 1)``.
        blur: Angle by which noise and rounding may have turned the faintest direction.
    """

    left: Tensor
    sizes: Tensor
    basis: Tensor
    blur: float

    @property
    def rank(self) -> int:
        return len(self.basis)

    @property
    def tolerance(self) -> float:
        """How far from the span a row of the batch may lie."""
        return min(5e-2, max(1e-5, 10 * self.blur))


@dataclass(frozen=True)
class Candidates:
    """Rows with one category in each categorical column that lie in the span, in coordinates of its basis.

    Attributes:
        rows: ``(candidates, rank)``, with the smallest numbers that the span allows.
        free: Orthonormal ``(freedoms, rank)``: what can be added to a row without leaving span or categories. Empty
            where the categories leave no choice of the numbers.
    """

    rows: Tensor
    free: Tensor


def row_span(weight: Tensor, bias: Tensor, *, noise: float) -> RowSpan:
    """The span of the rows behind the first layer's gradient; directions of noise or rounding are left out.

    Args:
        weight: ``(neurons, features)``.
        bias: ``(neurons,)``.
        noise: Standard deviation on each coordinate.

    Raises:
        AttackFailed: where the span is all there is, so that it excludes nothing.
    """
    gradient = torch.cat([weight, bias[:, None]], 1).double()
    left, values, basis = torch.linalg.svd(gradient, full_matrices=False)
    floor = max(float(values[0]) * _ROUNDING, 1.05 * noise * (gradient.shape[0] ** 0.5 + gradient.shape[1] ** 0.5))
    rank = int((values > floor).sum())
    if rank == 0 or rank >= min(gradient.shape):
        raise AttackFailed(
            f"the first layer's gradient has rank {rank} of {min(gradient.shape)}: noise, rounding to few bits or too "
            "many records leave no row excluded"
        )
    return RowSpan(left[:, :rank], values[:rank], basis[:rank], floor / float(values[rank - 1]))


def candidates_in(span: RowSpan, columns: Sequence[Column], *, most: int) -> Candidates:
    """All rows in the span with exactly one category in each categorical column.

    The span of one-hot rows holds few others (the span check of Petrov et al., 2024, arXiv:2405.15586, there for
    tokens). The columns are cut in two halves, and pairs of half rows that add up to nothing outside the span are
    found by a search tree, so that the cost grows as the root of the number of combinations.

    Raises:
        AttackFailed: where there are no categorical columns, or more rows than ``most`` fit, or none.
    """
    levels = [_present(span, column) for column in columns if column.kind == "categorical"]
    if not levels:
        raise AttackFailed("the table has no categorical column, and the span is searched by categories")
    if not all(levels):
        raise AttackFailed("a categorical column has no category in the span of the gradient")
    picked = [*(i for column in columns if column.kind == "categorical" for i in range(column.start, column.stop)), -1]
    coordinates = span.basis[:, picked]
    inner, values, outer = torch.linalg.svd(coordinates, full_matrices=True)
    rank = int((values > max(span.tolerance, 1e-4)).sum())
    apart = torch.zeros(span.basis.shape[1], len(picked) - rank, dtype=torch.float64)
    apart[picked] = outer[rank:].T
    chosen = _adding_up_to_nothing(apart, levels, span.tolerance, most)
    if len(chosen) == math.prod(map(len, levels)) > span.rank:
        raise AttackFailed("every combination of the batch's categories lies in the span of the gradient")
    wanted = torch.zeros(len(chosen), span.basis.shape[1], dtype=torch.float64).scatter_(1, chosen, 1.0)
    wanted[:, -1] = 1.0
    solved = (wanted[:, picked] @ outer[:rank].T / values[:rank]) @ inner[:, :rank].T
    return Candidates(solved, inner[:, rank:].T)


def _present(span: RowSpan, column: Column) -> list[int]:
    """Places of the categories that occur in the batch: the others are zero in the whole span."""
    sizes = span.basis[:, column.start : column.stop].norm(dim=0)
    return [column.start + int(i) for i in (sizes > max(_PRESENT, span.tolerance)).nonzero().flatten()]


def _adding_up_to_nothing(apart: Tensor, levels: list[list[int]], tolerance: float, most: int) -> Tensor:
    """One place of each list so that their rows of ``apart`` and its last row add up to zero. ``(found, lists)``."""
    halves = [_Half.empty(apart), _Half.empty(apart)]
    for places in sorted(levels, key=len, reverse=True):
        smaller = int(len(halves[1].sums) < len(halves[0].sums))
        halves[smaller] = halves[smaller].with_one_of(places, apart)
    first, second = halves[0].sums + apart[-1], -halves[1].sums
    axes = torch.linalg.qr(_fixed_noise(apart.shape[1]))[0][:, :_TREE_AXES]
    trees = cKDTree((first @ axes).numpy()), cKDTree((second @ axes).numpy())
    count = int(trees[0].count_neighbors(trees[1], tolerance))
    if count > most:
        raise AttackFailed(f"{count} rows lie in the span of the gradient; at most {most} are tried")
    pairs = [(i, j) for i, near in enumerate(trees[0].query_ball_tree(trees[1], tolerance)) for j in near]
    found = torch.from_numpy(np.array(pairs, dtype=np.int64).reshape(-1, 2))
    found = found[(first[found[:, 0]] - second[found[:, 1]]).norm(dim=1) <= tolerance]
    if not len(found):
        raise AttackFailed("no row with one category in each column lies in the span of the gradient")
    return torch.cat([halves[0].places[found[:, 0]], halves[1].places[found[:, 1]]], 1)


@dataclass(frozen=True)
class _Half:
    """All choices of one place from each of some lists.

    Attributes:
        places: ``(choices, lists)``.
        sums: Sum of the rows at these places, ``(choices, axes)``.
    """

    places: Tensor
    sums: Tensor

    @classmethod
    def empty(cls, apart: Tensor) -> "_Half":
        return cls(torch.empty(1, 0, dtype=torch.int64), apart.new_zeros(1, apart.shape[1]))

    def with_one_of(self, places: list[int], apart: Tensor) -> "_Half":
        size = len(self.sums) * len(places)
        if size > _SIDE:
            raise AttackFailed(f"half of the columns have {size} combinations of categories; {_SIDE} are tried")
        new = torch.tensor(places)
        grown = torch.cat([self.places.repeat_interleave(len(new), 0), new.repeat(len(self.sums))[:, None]], 1)
        return _Half(grown, (self.sums[:, None] + apart[new]).flatten(0, 1))


def _fixed_noise(size: int) -> Tensor:
    """A square matrix without any structure that a table could share."""
    return torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
