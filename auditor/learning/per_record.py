"""Gradients of single records, vectorised where the model allows it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from auditor.learning.errors import LearningError
from auditor.observations.model import State
from auditor.observations.records import Records

if TYPE_CHECKING:
    from auditor.learning.functional import FunctionalModel


def math_attention() -> AbstractContextManager[None]:
    """Attention by its math kernel: the fused ones have neither a second derivative nor a ``vmap`` rule."""
    context: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return context


class PerRecord(NamedTuple):
    """Gradient (by name, shape ``(n, *parameter)``) and loss (shape ``(n,)``) of each record."""

    gradients: dict[str, Tensor]
    losses: Tensor


def refuse_mixing(model: "FunctionalModel") -> None:
    """Raise where BatchNorm mixes the records of a batch, so that no gradient of a single one exists."""
    if model.mixes_records:
        raise LearningError(
            "Gradients of single records do not exist: BatchNorm in train mode mixes the records of a batch.",
            remedy="Set federation.batch_norm to 'eval' or 'frozen', or use GroupNorm in the model.",
        )


def evaluate_records(
    model: "FunctionalModel", state: State, records: Records, *, chunk: int | None, training: bool
) -> PerRecord:
    """See :meth:`FunctionalModel.per_record_gradients`."""
    if training:
        refuse_mixing(model)
    if len(records) == 0:
        empty = {name: state[name].new_zeros((0, *state[name].shape)) for name in model.trainable}
        return PerRecord(empty, next(iter(empty.values())).new_zeros(0))
    if not model.per_record_by_loop:
        try:
            return _by_vmap(model, state, records, chunk=chunk, training=training)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            model.per_record_by_loop = True
    rows = [model.evaluate(state, records[i : i + 1], training=training) for i in range(len(records))]
    return PerRecord(
        {name: torch.stack([row.gradient[name] for row in rows]) for name in model.trainable},
        torch.stack([row.loss.detach() for row in rows]),
    )


def _by_vmap(
    model: "FunctionalModel", state: State, records: Records, *, chunk: int | None, training: bool
) -> PerRecord:
    trained = {name: state[name].detach() for name in model.trainable}
    rest = {name: tensor.detach() for name, tensor in state.items() if name not in trained}

    def one(parameters: dict[str, Tensor], inputs: Tensor, label: Tensor) -> Tensor:
        record = Records(inputs.unsqueeze(0), label.unsqueeze(0))
        return model.losses({**rest, **parameters}, record, training=training).squeeze(0)

    each: Callable[..., tuple[dict[str, Tensor], Tensor]] = vmap(
        grad_and_value(one), in_dims=(None, 0, 0), randomness="different", chunk_size=chunk
    )
    with math_attention():
        return PerRecord(*each(trained, model.cast(records.inputs), records.labels))
