"""What every membership attack reads from a model's outputs, in log space and without ties from rounding."""

import torch
from torch import Tensor

from auditor.core.shape import Task

ROUNDING = 1e-3
"""Rows of probabilities sum to one within this."""


def log_probabilities(outputs: Tensor) -> Tensor:
    """Log-probabilities of raw outputs, float64, same shape.

    A softmax is idempotent on log-probabilities, so these and logits take one road. Outputs that already
    are probabilities (every row non-negative with sum one) are logged instead: a second softmax on them would
    hide most of the signal.
    """
    outputs = outputs.double()
    sums = outputs.sum(dim=-1)
    if bool((outputs >= 0).all()) and bool(((sums - 1).abs() < ROUNDING).all()):
        return outputs.clamp_min(torch.finfo(torch.float64).tiny).log()
    return torch.log_softmax(outputs, dim=-1)


def margin(outputs: Tensor, labels: Tensor) -> Tensor:
    """log(p_y / (1 - p_y)) from logits, stable: the label's log-probability minus that of all other classes.

    Carlini et al., 2022, arXiv:2112.03570, section VI-A. Unlike ``log(p) - log(1 - p)`` it does not saturate
    where a model is sure, so no two records tie by rounding.

    Args:
        outputs: ``(..., records, classes)``.
        labels: ``(records,)`` int64.

    Returns:
        ``(..., records)``.
    """
    logs = log_probabilities(outputs)
    index = labels.expand(logs.shape[:-1]).unsqueeze(-1)
    own = logs.gather(-1, index).squeeze(-1)
    others = logs.scatter(-1, index, -torch.inf).logsumexp(dim=-1)
    return own - others


def true_class(outputs: Tensor, labels: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Log-probability of the label, the softmax taken at a temperature. Shapes as in :func:`margin`."""
    logs = torch.log_softmax(log_probabilities(outputs) / temperature, dim=-1)
    return logs.gather(-1, labels.expand(logs.shape[:-1]).unsqueeze(-1)).squeeze(-1)


def is_classified(outputs: Tensor, task: Task) -> bool:
    """Do the outputs hold a score for each of at least two classes?"""
    return task == Task.CLASSIFICATION and outputs.shape[-1] >= 2


def signal(outputs: Tensor, losses: Tensor, labels: Tensor, *, task: Task) -> Tensor:
    """The statistic that attacks model as Gaussian: the margin of a classifier, minus the loss of anything else."""
    if is_classified(outputs, task):
        return margin(outputs, labels)
    return -losses.double()


def likelihood(outputs: Tensor, losses: Tensor, labels: Tensor, *, task: Task, temperature: float) -> Tensor:
    """Log-likelihood of the label under the model: log p_y at a temperature, or minus the loss over it."""
    if is_classified(outputs, task):
        return true_class(outputs, labels, temperature=temperature)
    return -losses.double() / temperature
