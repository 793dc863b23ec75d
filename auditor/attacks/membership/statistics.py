"""What every membership attack reads from a model's outputs, in log space and without ties from rounding.

All in float64 on the CPU: not every device has float64, and the arrays are small.
"""

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
    outputs = outputs.detach().cpu().double()
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
    index = labels.cpu().expand(logs.shape[:-1]).unsqueeze(-1)
    own = logs.gather(-1, index).squeeze(-1)
    others = logs.scatter(-1, index, -torch.inf).logsumexp(dim=-1)
    return own - others


def true_class(outputs: Tensor, labels: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Log-probability of the label, the softmax taken at a temperature. Shapes as in :func:`margin`."""
    logs = torch.log_softmax(log_probabilities(outputs) / temperature, dim=-1)
    return logs.gather(-1, labels.cpu().expand(logs.shape[:-1]).unsqueeze(-1)).squeeze(-1)


def class_scores(outputs: Tensor, losses: Tensor, *, task: Task) -> Tensor | None:
    """A score for each class, ``(..., records, classes)``; None where the outputs hold no classes.

    A classifier with one output has a logit of class 1; class 0 then scores zero.
    """
    if task != Task.CLASSIFICATION or not 0 <= outputs.dim() - losses.dim() <= 1:
        return None
    if outputs.dim() == losses.dim():
        outputs = outputs.unsqueeze(-1)
    if outputs.shape[-1] == 1:
        return torch.cat([torch.zeros_like(outputs), outputs], dim=-1)
    return outputs


def signal(outputs: Tensor, losses: Tensor, labels: Tensor, *, task: Task) -> Tensor:
    """The statistic that attacks model as Gaussian: the margin of a classifier, minus the loss of anything else."""
    scores = class_scores(outputs, losses, task=task)
    return -losses.detach().cpu().double() if scores is None else margin(scores, labels.long())


def likelihood(outputs: Tensor, losses: Tensor, labels: Tensor, *, task: Task, temperature: float) -> Tensor:
    """Log-likelihood of the label under the model: log p_y at a temperature, or minus the loss over it."""
    scores = class_scores(outputs, losses, task=task)
    if scores is None:
        return -losses.detach().cpu().double() / temperature
    return true_class(scores, labels.long(), temperature=temperature)
