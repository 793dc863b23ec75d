"""Which record stood in which local step: the order of records is unknown to the server and shows in the weights."""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

_ALL = 4
MOST = 64
"""Orders tried at a time, at most: all orders of up to four records, exchanges of two among more."""

LOOKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of the schedule after which the order is looked at: once records are fine, they fit the order they have."""


def orders_tried(records: int) -> int:
    """How many orders one look tries."""
    return math.factorial(records) if records <= _ALL else min(MOST, records * (records - 1) // 2)


def looks_at(done: int, steps: int) -> bool:
    """True after those steps at which the order is looked at."""
    return done in {int(share * steps) for share in LOOKS}


def better_order(
    distances: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, labels: Tensor, *, generator: torch.Generator
) -> Tensor:
    """The order of records, for each candidate, that lowers the matching distance most among those tried.

    Args:
        distances: Matching distance of each candidate from inputs and labels.
        inputs: ``(candidates, records, ...)``.
        labels: ``(candidates, records, ...)``.
        generator: Draws the exchanges where there are too many.

    Returns:
        Indices of records, ``(candidates, records)``.
    """
    count = inputs.shape[1]
    order = torch.arange(count, device=inputs.device).repeat(inputs.shape[0], 1)
    least = distances(inputs, labels)
    for move in _moves(count, generator):
        tried = order[:, move] if count > _ALL else move.to(order.device).expand_as(order)
        apart = distances(taken(inputs, tried), taken(labels, tried))
        closer = apart < least
        order[closer], least[closer] = tried[closer], apart[closer]
    return order


def _moves(count: int, generator: torch.Generator) -> list[Tensor]:
    """All orders of few records, else exchanges of two that are made one after the other."""
    if count <= _ALL:
        return [torch.tensor(one) for one in itertools.permutations(range(count))][1:]
    pairs = list(itertools.combinations(range(count), 2))
    moves = []
    for k in torch.randperm(len(pairs), generator=generator)[:MOST].tolist():
        move, (i, j) = torch.arange(count), pairs[k]
        move[i], move[j] = j, i
        moves.append(move)
    return moves


def taken(values: Tensor, order: Tensor) -> Tensor:
    """Rows of each candidate in another order."""
    return values[torch.arange(len(values), device=values.device)[:, None], order]
