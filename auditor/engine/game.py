"""The membership game: who the candidates are, in which order, and which records a reference model trains on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.core.seeds import derive_seed
from auditor.observations.records import Records
from auditor.targets.target import Target


@dataclass(frozen=True)
class Game:
    """Members and non-members in an order that says nothing, with the truth for ``measure`` alone.

    Attributes:
        candidates: Records that an attack scores.
        is_member: Shape ``(candidates,)``, bool.
        order: Place of each candidate among members, then non-members.
    """

    candidates: Records
    is_member: Tensor
    order: Tensor


def membership_game(target: Target, *, seed: int) -> Game:
    """All members and non-members, shuffled: an attack could otherwise read membership off the position."""
    inputs = torch.cat([target.members.inputs, target.nonmembers.inputs])
    labels = torch.cat([target.members.labels, target.nonmembers.labels])
    is_member = torch.arange(len(inputs)) < len(target.members)
    generator = torch.Generator().manual_seed(derive_seed(seed, "candidates"))
    order = torch.randperm(len(inputs), generator=generator)
    return Game(Records(inputs[order], labels[order]), is_member[order], order)


def reference_row(index: int, *, candidates: int, population: int, members: int, seed: int) -> Tensor:
    """Which of candidates, then population, reference model ``index`` trains on: a bool row.

    Drawn from (seed, index) alone, so blind to membership. As many records as the audited model has members,
    since a model of another size leaks differently, but at most half, so that every record is left out often.
    """
    total = candidates + population
    size = min(members, total // 2)
    generator = torch.Generator().manual_seed(derive_seed(seed, "reference", index, "records"))
    row = torch.zeros(total, dtype=torch.bool)
    row[torch.randperm(total, generator=generator)[:size]] = True
    return row
