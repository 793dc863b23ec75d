"""The loss that the settings name, as a loss of single records."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.core.errors import TargetError
from auditor.core.shape import Task
from auditor.learning.losses import cross_entropy, loss_for, mean_squared_error
from auditor.observations.model import Loss
from auditor.targets.code import Named


@dataclass(frozen=True)
class UserLoss:
    """A loss of the user's, picklable.

    Attributes:
        named: A function of (outputs, labels).
        averages: True where it returns one number for a batch; then it is called for each record alone.
    """

    named: Named
    averages: bool = False

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        function = self.named.load()
        if not self.averages:
            return function(outputs, labels)  # type: ignore[no-any-return]
        rows = range(len(outputs))
        return torch.stack([function(outputs[i : i + 1], labels[i : i + 1]).reshape(()) for i in rows])


def named_loss(text: str, task: Task, *, named: Callable[[], Named]) -> Loss | UserLoss:
    """``default``, ``cross_entropy``, ``mse`` or the user's own."""
    match text:
        case "default":
            return loss_for(task)
        case "cross_entropy":
            return loss_for(task) if task is Task.LANGUAGE_MODEL else cross_entropy
        case "mse":
            return mean_squared_error
        case _:
            return UserLoss(named())


def per_record(loss: Loss | UserLoss, outputs: Tensor, labels: Tensor, where: str) -> tuple[Loss, tuple[str, ...]]:
    """The loss as one value a record, tried on a batch.

    Raises:
        TargetError: The user's loss fails, or returns neither one value a record nor one for the batch.
    """
    if not isinstance(loss, UserLoss):
        return loss, ()
    with loss.named.errors():
        values = loss(outputs, labels)
    if isinstance(values, Tensor) and values.shape == (len(outputs),):
        return loss, ()
    if isinstance(values, Tensor) and values.numel() == 1:
        fact = "the loss returns one number for a batch; it is computed for each record alone"
        return UserLoss(loss.named, averages=True), (fact,)
    shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
    raise TargetError(
        f"{where}: {loss.named.text} returned {shape} for {len(outputs)} records.",
        remedy="Return one loss for each record: shape (records,).",
    )
