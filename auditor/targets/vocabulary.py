"""Where token ids meet the model: its vocabulary."""

import contextlib

import torch
from torch import Tensor, nn

from auditor.core.errors import TargetError
from auditor.learning.randomness import seeded


def check_vocabulary(module: nn.Module, tokens: Tensor, largest: int, *, where: str) -> int:
    """Number of token ids: rows of the embedding that reads the tokens, or of the data where there is none.

    Args:
        module: The model.
        tokens: A trial batch, ``(n, tokens)``.
        largest: Largest id in the data plus one; 0 where records are no tokens.
        where: For messages.

    Raises:
        TargetError: The data holds ids that the embedding lacks.
    """
    if not largest:
        return 0
    embedding = _token_embedding(module, tokens)
    if embedding is None:
        return largest
    if embedding.num_embeddings < largest:
        raise TargetError(
            f"{where}: the data holds token id {largest - 1}, but the model's embedding has "
            f"{embedding.num_embeddings} rows.",
            remedy="Use the tokenizer that the model was made for, or an embedding with a row for each token.",
        )
    return embedding.num_embeddings


def _token_embedding(module: nn.Module, tokens: Tensor) -> nn.Embedding | None:
    """The embedding that receives the tokens themselves; others embed positions or segments."""
    found: list[nn.Embedding] = []

    def note(layer: nn.Module, given: tuple[object, ...]) -> None:
        if isinstance(layer, nn.Embedding) and given and isinstance(given[0], Tensor) and torch.equal(given[0], tokens):
            found.append(layer)

    layers = [part for part in module.modules() if isinstance(part, nn.Embedding)]
    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    # An id that the embedding lacks makes the call fail, but only after the hook has seen it.
    with contextlib.suppress(Exception), torch.no_grad(), seeded(0):
        module(tokens)
    for handle in handles:
        handle.remove()
    return found[0] if found else None
