"""Losses of single records, by task. All have the type :data:`auditor.observations.model.Loss`."""

import torch
from torch import Tensor
from torch.nn import functional as F

from auditor.core.shape import Task
from auditor.observations.model import Loss


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy in nats. Outputs: logits ``(n, classes)``; labels ``(n,)`` int64; returns ``(n,)``."""
    return F.cross_entropy(outputs, labels, reduction="none")


def untied_cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """The same in float64 from the distances to the own logit, as ``log1p``: a loss of 1e-40 is told from one of 1e-20.

    Outputs: logits ``(n, classes)``; labels ``(n,)`` int64; returns ``(n,)``.
    """
    apart = outputs.double() - outputs.double().gather(1, labels.unsqueeze(1))
    others = apart.scatter(1, labels.unsqueeze(1), -torch.inf).logsumexp(dim=1)
    return torch.where(others > 0, others + F.softplus(-others), others.clamp(max=0.0).exp().log1p())


def mean_squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """Squared error, averaged over the targets of a record. Both ``(n,)`` or ``(n, k)``; returns ``(n,)``.

    ``(n, 1)`` against ``(n,)`` is read as one target a record; broadcasting would give ``(n, n)``.
    """
    errors = (outputs - labels.reshape(outputs.shape)).square()
    return errors.reshape(len(errors), -1).mean(dim=1)


def language_model(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean next-token cross-entropy of a record in nats.

    Outputs: logits ``(n, tokens, vocabulary)``, position t predicts token t+1. Labels: ids ``(n, tokens)``.
    Zeros after the last other id are padding and do not count. Returns ``(n,)``.
    """
    targets = labels[:, 1:]
    nats = F.cross_entropy(outputs[:, :-1].transpose(1, 2), targets, reduction="none")
    # A token counts while it or any later one is not the padding id, so that a zero inside the text counts.
    counts = (targets != 0).to(nats.dtype).flip(1).cumsum(1).flip(1) > 0
    weight = counts.to(nats.dtype)
    return (nats * weight).sum(dim=1) / torch.clamp(weight.sum(dim=1), min=1.0)


def loss_for(task: Task) -> Loss:
    """The default loss of a task."""
    match task:
        case Task.CLASSIFICATION:
            return cross_entropy
        case Task.REGRESSION:
            return mean_squared_error
        case Task.LANGUAGE_MODEL:
            return language_model
