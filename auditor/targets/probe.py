"""One batch forward and one gradient: does the model learn from this data at all?"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.core.errors import AuditorError, TargetError
from auditor.learning.functional import FunctionalModel
from auditor.learning.randomness import seeded
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.targets.code import said

BATCH = 16


@dataclass(frozen=True)
class Probe:
    """What one batch showed.

    Attributes:
        loss: Mean loss of the batch.
        gradient_norm: L2 norm of the mean gradient over all trained parameters.
        without_gradient: Trained parameters whose gradient is exactly zero.
        fixed: Parameters that are not trained.
        mixes_records: True where a record's output in training depends on the other records of its batch.
        probabilities: True where the outputs are probabilities already, not logits.
    """

    loss: float
    gradient_norm: float
    without_gradient: tuple[str, ...]
    fixed: tuple[str, ...]
    mixes_records: bool
    probabilities: bool


def probe(shared: SharedModel, records: Records, *, state: State | None, batch_norm: str, where: str) -> Probe:
    """Push one batch through and take one gradient, as a client would.

    Args:
        shared: The model.
        records: The batch, at least 2.
        state: Deployed weights; None = freshly initialised.
        batch_norm: What clients do with BatchNorm.
        where: Place of the model's setting, for messages.

    Raises:
        TargetError: A loss or gradient that is not finite, no gradient at all, or code that fails.
    """
    model = FunctionalModel(shared, batch_norm=batch_norm)
    state = model.initial_state(0) if state is None else model.complete(state)
    if not model.parameter_names:
        raise _frozen(where)
    try:
        with seeded(0):
            evaluation = model.evaluate(state, records, training=True)
            answers = model.outputs(state, records.inputs)
            mixes = _mixes(model, state, records.inputs)
    except AuditorError:
        raise
    except Exception as error:
        if "does not require grad" in str(error):
            raise _frozen(where) from None
        raise TargetError(
            f"{where}: a training step on one batch failed: {said(error)}",
            remedy="The model must train on the data as it is given; try it outside of the auditor first.",
        ) from None
    return _judged(model, evaluation.loss.detach(), evaluation.gradient, answers, mixes=mixes, where=where)


def _judged(
    model: FunctionalModel, loss: Tensor, gradient: dict[str, Tensor], answers: Tensor, *, mixes: bool, where: str
) -> Probe:
    if not math.isfinite(float(loss)):
        raise TargetError(
            f"{where}: the loss of the first batch is {float(loss)}, so the model cannot be trained on this data.",
            remedy="Check the inputs' scale (target.data.normalise), the labels and the loss.",
        )
    norms = {name: float(tensor.norm()) for name, tensor in gradient.items()}
    if not all(map(math.isfinite, norms.values())):
        raise TargetError(
            f"{where}: the gradient of the first batch is not finite.",
            remedy="Check the inputs' scale (target.data.normalise) and divisions by zero in the model.",
        )
    if not any(norms.values()):
        raise _frozen(where)
    return Probe(
        loss=float(loss),
        gradient_norm=math.sqrt(sum(norm**2 for norm in norms.values())),
        without_gradient=tuple(name for name, norm in norms.items() if norm == 0),
        fixed=model.fixed_names,
        mixes_records=mixes,
        probabilities=_are_probabilities(answers),
    )


def _frozen(where: str) -> TargetError:
    return TargetError(
        f"{where}: no gradient reaches any parameter: the model is frozen.",
        remedy="Set requires_grad=True on the parameters that clients train, and compute outside torch.no_grad().",
    )


def _mixes(model: FunctionalModel, state: State, inputs: Tensor) -> bool:
    """Change all records but the first: does the first one's output in training move?"""
    if len(inputs) < 3:
        return model.mixes_records
    other = torch.cat([inputs[:1], inputs[1:].roll(1, dims=0)[: len(inputs) - 2], inputs[:1]])
    with torch.no_grad():
        answers = []
        for batch in (inputs, other):
            with seeded(0):  # the same dropout mask for both
                answers.append(model.outputs(state, batch, training=True)[0])
    return not torch.allclose(answers[0], answers[1], rtol=1e-3, atol=1e-5)


def _are_probabilities(answers: Tensor) -> bool:
    if answers.ndim < 2 or answers.shape[-1] < 2:
        return False
    sums = answers.sum(dim=-1)
    return bool((answers >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-4))
