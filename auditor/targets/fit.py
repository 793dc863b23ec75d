"""Where preprocessing meets the model: vocabulary, and the box of valid inputs in the layout that was chosen."""

from dataclasses import replace

from torch import nn

from auditor.core.errors import TargetError
from auditor.core.shape import Modality, TargetShape
from auditor.observations.model import Preprocessing


def check_vocabulary(module: nn.Module, largest: int, *, where: str) -> int:
    """Number of token ids: rows of the model's first embedding, or of the data where it has none.

    Raises:
        TargetError: The data holds ids that the embedding lacks.
    """
    if not largest:
        return 0
    embedding = next((part for part in module.modules() if isinstance(part, nn.Embedding)), None)
    if embedding is None:
        return largest
    if embedding.num_embeddings < largest:
        raise TargetError(
            f"{where}: the data holds token id {largest - 1}, but the model's embedding has "
            f"{embedding.num_embeddings} rows.",
            remedy="Use the tokenizer that the model was made for, or an embedding with a row for each token.",
        )
    return embedding.num_embeddings


def shared_preprocessing(found: Preprocessing, shape: TargetShape, *, vocabulary: int) -> Preprocessing:
    """Preprocessing with the model's vocabulary; the box of a flattened picture has one entry for all values."""
    if shape.modality is Modality.TEXT:
        return replace(found, vocabulary=vocabulary)
    return found
