"""Records: inputs with labels, in the form that enters the model."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Records:
    """A set of records.

    Attributes:
        inputs: Shape ``(n, *input_shape)``; float (normalised) or int64 token ids ``(n, tokens)``.
        labels: Shape ``(n,)`` int64 classes, ``(n,)``/``(n, k)`` float regression targets; for language
            models the token ids themselves.
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def __getitem__(self, index: Tensor | slice | list[int]) -> "Records":
        return Records(self.inputs[index], self.labels[index])

    def to(self, device: str) -> "Records":
        """The same records on another device."""
        return Records(self.inputs.to(device), self.labels.to(device))
