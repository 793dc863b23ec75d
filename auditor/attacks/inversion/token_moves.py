"""Discrete search over texts: swap two tokens or replace one, and keep what fits the gradient better."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.attacks.base import RunContext

_MOST_REPLACEMENTS = 64
_CHUNK = 16


@dataclass(frozen=True)
class Moves:
    """What may be tried.

    Attributes:
        allowed: Token ids that may stand anywhere.
        distances: Guesses ``(guesses, records, tokens)`` -> their distance ``(guesses,)``.
        sweeps: Rounds over all moves at most.
        enough: A distance at which to stop.
        context: For the deadline.
    """

    allowed: Tensor
    distances: Callable[[Tensor], Tensor]
    sweeps: int
    enough: float
    context: RunContext


def improved(tokens: Tensor, moves: Moves) -> tuple[Tensor, float]:
    """The guess after greedy moves, and its distance.

    Balunovic et al., 2022, arXiv:2202.08827, section 4.3, with all swaps (within a text and between texts) and all
    replacements instead of random ones; a vocabulary that was not narrowed gets swaps alone.

    Args:
        tokens: Token ids ``(records, tokens)``.
        moves: What may be tried.
    """
    best, distance = tokens, float(moves.distances(tokens[None])[0])
    for _ in range(moves.sweeps):
        before = distance
        for batch in _batches(best.numel(), moves.allowed):
            if distance <= moves.enough or moves.context.out_of_time:
                return best, distance
            tried = torch.stack([_moved(best, move) for move in batch])
            found = moves.distances(tried)
            least = int(found.argmin())
            if float(found[least]) < distance:
                best, distance = tried[least], float(found[least])
        if distance >= before:
            break
    return best, distance


def _batches(size: int, allowed: Tensor) -> Iterator[list[tuple[int, int, int]]]:
    """Moves ``(place, other place or -1, token)``; the replacements of one place together."""
    swaps = iter([(i, j, 0) for i, j in itertools.combinations(range(size), 2)])
    while batch := list(itertools.islice(swaps, _CHUNK)):
        yield batch
    if len(allowed) <= _MOST_REPLACEMENTS:
        for place in range(size):
            for part in torch.split(allowed, _CHUNK):
                yield [(place, -1, token) for token in part.tolist()]


def _moved(tokens: Tensor, move: tuple[int, int, int]) -> Tensor:
    place, other, token = move
    flat = tokens.flatten().clone()
    if other >= 0:
        flat[place], flat[other] = tokens.flatten()[other], tokens.flatten()[place]
    else:
        flat[place] = token
    return flat.reshape(tokens.shape)
