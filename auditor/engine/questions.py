"""The membership game over rounds: which candidate is asked about which client."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.core.seeds import derive_seed
from auditor.engine.game import Game

NOBODY = -1
"""Owner of a record that no client holds."""


@dataclass(frozen=True)
class Questions:
    """Did the asked client hold the candidate?

    Attributes:
        index: Places among the candidates of the game, ``(questions,)``.
        asked: Client of each question.
        owner: Client that holds the record, :data:`NOBODY` for a non-member; the truth.
    """

    index: Tensor
    asked: Tensor
    owner: Tensor

    def where(self, chosen: Tensor) -> "Questions":
        """Some of the questions, by a bool mask."""
        return Questions(self.index[chosen], self.asked[chosen], self.owner[chosen])


def owners(game: Game, parts: Sequence[Tensor]) -> Tensor:
    """The client of each candidate, ``(candidates,)``.

    Args:
        game: Candidates.
        parts: Indices of each client's records among the members.
    """
    members = int(game.is_member.sum())
    holder = torch.full((members,), NOBODY)
    for client, part in enumerate(parts):
        holder[part.cpu()] = client
    return torch.where(game.is_member, holder[game.order.clamp(max=members - 1)], NOBODY)


def questions(game: Game, parts: Sequence[Tensor], *, clients: Collection[int], seed: int) -> Questions:
    """One question a candidate: a member is asked about its own client, any other about the client of some member.

    Clients are asked about in the same shares for both, so the client alone says nothing. Where records are not
    spread at random, client and label together do, and a blind guess from them says how much.

    Args:
        game: Candidates.
        parts: Indices of each client's records among the members.
        clients: Clients that may be asked about: those that took part and are not the adversary's own.
        seed: Of the draw for non-members.
    """
    owner = owners(game, parts)
    allowed = torch.isin(owner, torch.tensor(sorted(clients), dtype=torch.int64))
    mine = owner[allowed]
    asked = owner.clone()
    outside = ~game.is_member
    if len(mine):
        asked[outside] = _spread_alike(mine, int(outside.sum()), seed=seed)
        chosen = allowed | outside
    else:
        chosen = allowed
    return Questions(torch.arange(len(owner)), asked, owner).where(chosen)


def _spread_alike(clients: Tensor, count: int, *, seed: int) -> Tensor:
    """``count`` clients in the shares of ``clients``: drawing with replacement would let the counts tell."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "asked clients"))
    rounds = [clients[torch.randperm(len(clients), generator=generator)] for _ in range(-(-count // len(clients)))]
    drawn = torch.cat(rounds)[:count] if rounds else clients[:0]
    return drawn[torch.randperm(len(drawn), generator=generator)]
