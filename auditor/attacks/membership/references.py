"""Moments of a statistic over reference models that did, or did not, see a record."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from auditor.attacks.base import Knowledge, Needs, ReferenceModels
from auditor.attacks.membership.statistics import signal
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.observations.released import Queries

NEEDS = Needs(frozenset({Grant.MODEL_QUERIES, Grant.POPULATION_DATA, Grant.TRAINING_RECIPE}))
"""Of every attack that trains models of its own to compare with."""

COMPLEMENT = 0.9
"""Two training sets whose memberships correlate below minus this are halves of one draw."""


@dataclass(frozen=True)
class Moments:
    """Per-record mean and sum of squared deviations over some of the models.

    Attributes:
        count: How many models, ``(candidates,)``.
        mean: Zero where there is none, ``(candidates,)``.
        squares: Sum of squared deviations from the mean, ``(candidates,)``.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    @property
    def pooled_variance(self) -> Tensor:
        """Mean variance within a record, over all records; scalar."""
        freedom = (self.count - 1).clamp_min(0).sum()
        return self.squares.sum() / freedom.clamp_min(1)


def moments(values: Tensor, mask: Tensor) -> Moments:
    """Moments of ``values`` (models, candidates) over the models where ``mask`` is true."""
    count = mask.sum(dim=0).to(values.dtype)
    kept = torch.where(mask, values, torch.zeros_like(values))
    mean = kept.sum(dim=0) / count.clamp_min(1)
    squares = torch.where(mask, (values - mean) ** 2, torch.zeros_like(values)).sum(dim=0)
    return Moments(count, mean, squares)


def required_references(known: Knowledge, *, least: int) -> ReferenceModels:
    """The adversary's reference models.

    Raises:
        AttackFailed: if there are fewer than ``least``, or one gave no finite loss.
    """
    references = known.references
    have = 0 if references is None else len(references)
    if references is None or have < least:
        raise AttackFailed(f"this attack needs {least} reference models; the run has {have}")
    usable = references.losses.isfinite().all(dim=1)
    if not bool(usable.all()):
        raise AttackFailed(f"{int((~usable).sum())} of {have} reference models gave a loss that is not finite")
    return references


class Compared(NamedTuple):
    """The statistic of each candidate under the audited model, and under the reference models.

    Attributes:
        target: ``(candidates,)``.
        others: ``(models, candidates)``.
        included: Was the candidate in that model's training set? ``(models, candidates)`` bool.
    """

    target: Tensor
    others: Tensor
    included: Tensor


def compared(seen: Queries, known: Knowledge, *, least: int) -> Compared:
    """What attacks on the Gaussian statistic read.

    Raises:
        AttackFailed: as :func:`required_references`.
    """
    references, task = required_references(known, least=least), known.model.task
    return Compared(
        signal(seen.outputs, seen.losses, seen.labels, task=task),
        signal(references.outputs, references.losses, seen.labels, task=task),
        references.included.cpu(),
    )


def as_target(included: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Let each reference model in turn play the target.

    Yields its index and the indices of the models that may attack it: all others but its complement, whose
    training set would give its membership away.

    Args:
        included: ``(models, candidates)`` bool.
    """
    centred = included.double() - included.double().mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1).clamp_min(1e-12)
    correlation = centred @ centred.T / (norms[:, None] * norms[None, :])
    for index in range(len(included)):
        allowed = correlation[index] > -COMPLEMENT
        allowed[index] = False
        yield index, allowed.nonzero().squeeze(1)
