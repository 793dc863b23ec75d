"""Discrete search over texts: swap two tokens or replace one, and keep what fits the gradient better."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.attacks.base import RunContext

_MOST_REPLACEMENTS = 64
_MOST_SWAPS = 1024
"""Swaps of a round at most: all of 45 tokens, some of more, drawn anew in each round."""

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
    for sweep in range(moves.sweeps):
        before = distance
        for batch in _batches(best.numel(), moves.allowed, moves.context.generator().manual_seed(sweep)):
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


def most_moves(size: int) -> int:
    """How many moves one round tries at most, where no token beyond those of the texts comes into question."""
    replacements = size * (size + 1) if size < _MOST_REPLACEMENTS else 0
    return min(_MOST_SWAPS, size * (size - 1) // 2) + replacements


def _batches(size: int, allowed: Tensor, generator: torch.Generator) -> Iterator[list[tuple[int, int, int]]]:
    """Moves ``(place, other place or -1, token)``; the replacements of one place together."""
    pairs = list(itertools.combinations(range(size), 2))
    if len(pairs) > _MOST_SWAPS:
        pairs = [pairs[k] for k in torch.randperm(len(pairs), generator=generator)[:_MOST_SWAPS].tolist()]
    swaps = iter([(i, j, 0) for i, j in pairs])
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
