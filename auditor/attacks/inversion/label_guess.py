"""Labels where the update does not give them: candidates with unlike labels, told apart by how well they match."""

import torch
from torch import Tensor

from auditor.attacks.base import Knowledge
from auditor.attacks.inversion.evidence import Update, find_head
from auditor.core.errors import AttackFailed
from auditor.core.shape import Task
from auditor.observations.released import ClientUpdate

MOST = 16
"""Classes that are tried for a single record, the most frequent ones first."""


def head_is_hidden(update: Update, known: Knowledge) -> bool:
    """Was a part of the update seen in which the classifier head is missing or incomplete?"""
    if update.labels is not None or known.model.task is not Task.CLASSIFICATION:
        return False
    head = find_head(known.model)
    partly = isinstance(update, ClientUpdate) and update.shown is not None
    return head is not None and (partly or not {head.weight, head.bias or head.weight} <= set(update.update))


def guesses(update: Update, known: Knowledge, candidates: int, *, generator: torch.Generator) -> Tensor:
    """Labels of each candidate, ``(candidates, records)``.

    One record: the classes in turn, the most frequent first. Several: draws by their frequency.

    Raises:
        AttackFailed: where there are no classes to guess.
    """
    classes = known.model.shape.classes
    if classes < 2:
        raise AttackFailed("the head has one output and is not in the part of the update that was seen")
    counts = torch.ones(classes)
    if known.population is not None:
        counts += torch.bincount(known.population.labels.cpu().long(), minlength=classes).float()
    if update.records == 1:
        order = counts.argsort(descending=True, stable=True)
        return order[torch.arange(candidates) % classes][:, None]
    return torch.multinomial(counts.expand(candidates, -1), update.records, replacement=True, generator=generator)
