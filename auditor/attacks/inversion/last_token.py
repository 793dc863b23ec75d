"""The last token of each text, which no attention layer of a language model reveals.

The last position predicts nothing, so its inputs leave no trace in the layers. The token is still the target of the
position before it, and the head's gradient names targets: the row of a target holds minus the hidden state there.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from auditor.attacks.base import Knowledge
from auditor.attacks.inversion.evidence import Update, mean_gradient
from auditor.core.shape import Task


def complete(prefixes: Tensor, update: Update, known: Knowledge, module: nn.Module) -> Tensor:
    """Append the last token to each prefix of all but the last position; unchanged where no head tells it.

    For each prefix the model is run once, every target already known is subtracted from the head's gradient, and the
    rest is explained by one token for each prefix (assignment by inner product with the prefix's hidden state).
    """
    if known.model.task is not Task.LANGUAGE_MODEL or not len(prefixes):
        return prefixes
    head = _head(module, known.model.preprocessing.vocabulary)
    if head is None or f"{head}.weight" not in update.update:
        return prefixes
    prefixes = prefixes[: update.records]
    hidden, chances = _hidden(module, head, prefixes)
    left = mean_gradient(update)[f"{head}.weight"].double().cpu() * update.records
    positions = prefixes.shape[1]
    weight = 1.0 / positions
    left = left - weight * torch.einsum("npv,npd->vd", chances, hidden)
    for position in range(positions - 1):
        left.index_add_(0, prefixes[:, position + 1], weight * hidden[:, position])
    last = hidden[:, -1]
    scores = -(left @ last.T) / last.square().sum(1).clamp_min(1e-30)
    tokens = _assign(scores, len(prefixes))
    return torch.cat([prefixes, tokens[:, None]], 1)


def _assign(scores: Tensor, count: int) -> Tensor:
    """One token for each prefix; the same token may be taken several times."""
    best = torch.topk(scores, min(count, len(scores)), dim=0).indices.flatten().unique()  # type: ignore[no-untyped-call]
    table = scores[best].repeat_interleave(count, 0)
    rows, columns = linear_sum_assignment(-table.numpy())
    tokens = torch.zeros(count, dtype=torch.int64)
    tokens[torch.as_tensor(columns)] = best.repeat_interleave(count)[torch.as_tensor(rows)]
    return tokens


def _head(module: nn.Module, vocabulary: int) -> str | None:
    """Path of the last linear layer with one output for each token."""
    found = [p for p, part in module.named_modules() if isinstance(part, nn.Linear) and part.out_features == vocabulary]
    return found[-1] if found else None


def _hidden(module: nn.Module, head: str, prefixes: Tensor) -> tuple[Tensor, Tensor]:
    """What the head reads ``(n, positions, features)`` and its softmax ``(n, positions, vocabulary)``."""
    kept: list[Tensor] = []
    handle = module.get_submodule(head).register_forward_pre_hook(lambda _m, given: kept.append(given[0]))
    with torch.no_grad():
        outputs = module(prefixes)
    handle.remove()
    return kept[0].double(), outputs.double().softmax(-1)
