"""Which tokens stand behind an update: the rows of the embedding and of the head that have a gradient."""

import torch
from torch import Tensor

from auditor.attacks.inversion.evidence import Update, find_head, mean_gradient, step_weight
from auditor.core.shape import Task
from auditor.observations.model import SharedModel

_ROUNDING = 1e-6
_FIRING = 4.0


def likely_tokens(update: Update, model: SharedModel, *, table: str) -> Tensor:
    """Ascending ids; all of the vocabulary where the update does not narrow it.

    A row of the embedding's gradient is zero unless its token was read (Melis et al., 2019, arXiv:1805.04049). The
    last token of a language model's text is only a target: its row of the head stands out by its size. The padding id
    0 is always among them.

    Args:
        update: The update.
        model: Its model.
        table: Name of the embedding's weight.
    """
    everything = torch.arange(model.preprocessing.vocabulary)
    gradient, size = mean_gradient(update), update.records * model.shape.input_shape[0]
    if table not in gradient:
        return everything
    read = _rows(gradient[table], update)
    if not 0 < len(read) <= size:
        return everything
    targets = read
    if model.task is Task.LANGUAGE_MODEL:
        head = find_head(model)
        if head is None or head.weight not in gradient or head.weight == table:
            return everything
        rows = gradient[head.weight].detach().float().cpu().norm(dim=1)
        targets = rows.topk(min(len(rows), size - update.records)).indices
    padding = torch.zeros(1, dtype=torch.int64)
    return torch.tensor(sorted({*torch.cat([read, targets, padding]).tolist()}))


def _rows(gradient: Tensor, update: Update) -> Tensor:
    """Rows above rounding and above what noise explains."""
    noise = update.privatisation.noise_std / (1.0 if update.kind == "gradient" else step_weight(update.local))
    squares = gradient.detach().float().cpu().square().sum(1)
    width = gradient.shape[1]
    limit = max(float(squares.max()) * _ROUNDING**2, noise**2 * (width + _FIRING * (2 * width) ** 0.5))
    firing: Tensor = squares > limit
    return firing.nonzero().squeeze(1)
