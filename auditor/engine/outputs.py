"""What a model's raw outputs say."""

from torch import Tensor


def predicted_classes(outputs: Tensor) -> Tensor:
    """Predicted classes; one output column is a logit of class 1."""
    if outputs.ndim == 1 or outputs.shape[1] == 1:
        return (outputs.reshape(len(outputs)) > 0).long()
    return outputs.argmax(dim=1)
