"""The mode of a module."""

from torch import nn


def to_evaluation(module: nn.Module) -> None:
    """Put a module into evaluation; an exported program (``torch.export``) keeps the mode it was exported in."""
    try:
        module.eval()
    except NotImplementedError:
        return
