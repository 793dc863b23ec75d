"""Which candidate rows really stand behind a gradient: those whose silent neurons a direction of it leaves at zero."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.row_span import Candidates, RowSpan

_CHUNK = 2048
_SPARE = 3
"""Neurons beyond the rank that are asked, and as many more on which a direction must then be zero unasked."""
_ALIKE = 0.97
"""Or else this share of the neurons is silent for the candidate exactly where its direction is zero."""
_ZERO = 1e-3
_SURE = 2.0
"""Standard deviations of the open numbers by which a neuron must stay silent."""
_ALIVE = 1e-6
_APART = 1e-2
_PART = 0.4
"""Share of the neurons' blur that falls on the silent ones and on one direction."""
_SHIFT = 1e-13
"""Keeps factors finite: rounding leaves some 1e-16, and what counts as nothing is 1e-10."""
_TURNS = 4


@dataclass(frozen=True)
class Split:
    """The directions found, one for each row of the batch.

    Attributes:
        directions: Of length one, ``(rank, found)``; ``left @ directions`` is the gradient at the layer's outputs, up
            to a factor for each.
        rows: The candidate that led to each, in coordinates of the basis, ``(found, rank)``.
        agreement: Share of the neurons that are silent for that candidate exactly where its direction is zero.
    """

    directions: Tensor
    rows: Tensor
    agreement: Tensor

    @classmethod
    def none(cls, rank: int) -> "Split":
        return cls(torch.empty(rank, 0).double(), torch.empty(0, rank).double(), torch.empty(0).double())

    def __len__(self) -> int:
        return self.directions.shape[1]

    def across(self, sizes: Tensor) -> Tensor:
        """What is orthogonal to all rows of the batch but one, in coordinates of the basis. ``(rank, found)``.

        Args:
            sizes: Of the span.
        """
        turned = self.directions / sizes[:, None]
        unit: Tensor = turned / turned.norm(dim=0)
        return unit


def split(
    span: RowSpan, candidates: Candidates, before: Tensor, context: RunContext, *, typical: Tensor, tests: int
) -> Split:
    """A direction for each row of the batch, as far as they are found.

    The column of the gradient at the layer's outputs that belongs to a row is zero where that row leaves a ReLU
    silent (Dimitrov et al., 2024, arXiv:2403.03945). There such columns are sought by sampling at a cost of 2^rows;
    here each candidate says itself which neurons it silences, so each is tested: does the gradient hold a direction
    that is zero on all of them? Numbers that the categories leave open are set to those of one typical row after the
    other, and only such neurons are asked as stay silent for most values. A direction found is orthogonal to all
    other rows of the batch, which strikes most false candidates and fixes numbers that it meets. At last the rows
    still missing are tested by their most silent neurons alone: over several local steps others may wake up.

    Args:
        span: Of the first layer's gradient.
        candidates: Rows to be tested.
        before: Weight and bias of the first layer, ``(neurons, features + 1)``.
        context: For the deadline.
        typical: Rows whose numbers are tried where they are open, after zeros. ``(rows, features + 1)``.
        tests: Candidates that are tested, at most, each counted as often as it is.
    """
    test, found, left = _Test.of(span, before), Split.none(span.rank), candidates
    for tried in torch.cat([typical.new_zeros(1, span.basis.shape[1]), typical]).double():
        tests -= len(left.rows)
        known, found = found, test.directions(_with_numbers(left, tried, span), found, context, few=False)
        left = _left(left, found, span.sizes) if len(found) > len(known) else left
        done = len(found) == span.rank or not len(left.rows)
        if done or not len(candidates.free) or tests < len(left.rows) or context.out_of_time:
            break
    if len(found) < span.rank and not context.out_of_time:
        found = test.directions(left, found, context, few=True)
    return _settled(found, candidates.free, span.sizes)


def _with_numbers(candidates: Candidates, row: Tensor, span: RowSpan) -> Candidates:
    """The candidates with the numbers of ``row`` where they are open."""
    amounts = candidates.free @ span.basis @ row
    return Candidates(candidates.rows + amounts @ candidates.free, candidates.free)


def _left(candidates: Candidates, found: Split, sizes: Tensor) -> Candidates:
    """Candidates that may be the other rows, with such numbers as make them orthogonal to all directions found."""
    across = found.across(sizes)
    turned = _orthogonal(candidates, across)
    apart = (turned.rows @ across).abs().amax(1) > _APART * turned.rows.norm(dim=1)
    return Candidates(turned.rows[~apart], turned.free)


def _settled(found: Split, free: Tensor, sizes: Tensor) -> Split:
    """The same with such numbers as make each row orthogonal to the directions of the others."""
    across, rows = found.across(sizes), found.rows
    for i in range(len(found)):
        others = torch.cat([across[:, :i], across[:, i + 1 :]], 1)
        rows = torch.cat([rows[:i], _orthogonal(Candidates(rows[i : i + 1], free), others).rows, rows[i + 1 :]])
    return replace(found, rows=rows)


def _orthogonal(candidates: Candidates, across: Tensor) -> Candidates:
    """Candidates with their open numbers so set, as far as these reach; what stays open is left free."""
    inner, values, outer = torch.linalg.svd(candidates.free @ across, full_matrices=True)
    rank = int((values > _APART).sum())
    amounts = (candidates.rows @ across @ outer[:rank].T) / values[:rank]
    rows = candidates.rows - amounts @ inner[:, :rank].T @ candidates.free
    return Candidates(rows, inner[:, rank:].T @ candidates.free)


@dataclass(frozen=True)
class _Test:
    """Tests candidates against one gradient.

    Attributes:
        left: Of the gradient, without neurons that no row moves, ``(neurons, rank)``.
        neurons: What a row's coordinates make of each before the ReLU, ``(neurons, rank)``.
        null: Length up to which noise and rounding explain what is left of a direction.
    """

    left: Tensor
    neurons: Tensor
    null: float

    @classmethod
    def of(cls, span: RowSpan, before: Tensor) -> "_Test":
        lengths = span.left.norm(dim=1)
        alive = lengths > lengths.max() * _ALIVE
        return cls(span.left[alive], (before.double() @ span.basis.T)[alive], min(1e-2, max(1e-5, _PART * span.blur)))

    def directions(self, guess: Candidates, found: Split, context: RunContext, *, few: bool) -> Split:
        """``found`` and the directions that these candidates lead to.

        Args:
            guess: Candidates with their open numbers set.
            found: Directions known already.
            context: For the deadline.
            few: Ask only as many neurons as are needed, the most silent ones.
        """
        tested = [found]
        open_width = (self.neurons @ guess.free.T).norm(dim=1)
        for rows in torch.split(guess.rows, _CHUNK):
            if context.out_of_time:
                context.shortened.append("the test of candidate rows ended at the deadline")
                break
            tested.append(self._tested(rows, open_width, few=few))
        return _merged(tested, self.left.shape[1], least=10 * self.null)

    def _tested(self, rows: Tensor, open_width: Tensor, *, few: bool) -> Split:
        """Candidates ``(n, rank)`` whose silent neurons leave exactly one direction, with that direction."""
        rank = self.left.shape[1]
        needed = rank + _SPARE
        if needed > len(self.left):
            return Split.none(rank)
        reached = rows @ self.neurons.T
        cautious = reached + _SURE * open_width
        enough = cautious.kthvalue(needed, dim=1).values
        enough = enough if few else enough.clamp_min(0.0)
        silent = (cautious <= enough[:, None]) & (reached < 0)
        products = (self.left[:, :, None] * self.left[:, None]).flatten(1)
        kept = (silent.sum(1) >= needed).nonzero().flatten()
        grams = (silent[kept].double() @ products).reshape(-1, rank, rank)
        first = _faintest(grams)
        null = first.length < self.null
        kept, grams, directions = kept[null], grams[null], first.vectors[null]
        if rank > 1:
            single = _faintest(grams, beside=directions).length > 3 * self.null
            kept, directions = kept[single], directions[single]
        moved = (directions @ self.left.T).abs() > max(_ZERO, self.null)
        agreement = (moved == (reached[kept] > 0)).double().mean(1)
        real = ((~moved).sum(1) >= needed + _SPARE) | (agreement >= _ALIKE)
        return Split(directions[real].T, rows[kept][real], agreement[real])


class _Faintest(NamedTuple):
    """Unit vectors ``(n, rank)`` that matrices shorten most, and the length they leave of each ``(n,)``."""

    vectors: Tensor
    length: Tensor


def _faintest(grams: Tensor, *, beside: Tensor | None = None) -> _Faintest:
    """Of each matrix ``M``, given as ``M.T @ M``, the vector that it shortens most, by inverse iteration.

    A hundred times faster than all eigenvectors, which batches of small matrices get slowly on several threads. Where
    no vector stands out the length is only an upper bound, and still far from zero.

    Args:
        grams: ``(n, rank, rank)``.
        beside: Search only what is orthogonal to these, ``(n, rank)``.
    """
    rank = grams.shape[-1]
    factor, _ = torch.linalg.cholesky_ex(grams + _SHIFT * torch.eye(rank, dtype=grams.dtype))
    start = torch.randn(rank, 1, dtype=grams.dtype, generator=torch.Generator().manual_seed(0))
    vectors = start.expand(len(grams), rank, 1)
    for _ in range(_TURNS):
        vectors = torch.cholesky_solve(_without(vectors, beside), factor)
        vectors = vectors / vectors.norm(dim=1, keepdim=True)
    vectors = _without(vectors, beside)
    length = (grams @ vectors * vectors).sum((1, 2)).clamp_min(0).sqrt() / vectors.norm(dim=(1, 2))
    return _Faintest(vectors.squeeze(2), length)


def _without(vectors: Tensor, beside: Tensor | None) -> Tensor:
    if beside is None:
        return vectors
    return vectors - beside[:, :, None] * (beside[:, None] @ vectors)


def _merged(parts: list[Split], rank: int, *, least: float) -> Split:
    """Directions that are linearly independent by at least ``least``, those with the best agreement first."""
    directions = torch.cat([part.directions for part in parts], 1)
    agreement = torch.cat([part.agreement for part in parts])
    kept, beside = list[int](), torch.zeros(rank, 0, dtype=torch.float64)
    for i in agreement.argsort(descending=True, stable=True).tolist():
        if len(kept) == rank:
            break
        new = directions[:, i]
        new = new - beside @ (beside.T @ new)
        if float(new.norm()) > least:
            kept.append(i)
            beside = torch.cat([beside, (new / new.norm())[:, None]], 1)
    return Split(directions[:, kept], torch.cat([part.rows for part in parts])[kept], agreement[kept])
