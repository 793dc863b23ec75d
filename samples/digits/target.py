"""Handwritten digits: a small CNN on the 8x8 pictures that ship with scikit-learn."""

import numpy as np
from torch import Tensor, nn


class DigitNet(nn.Module):
    """Two convolutions and a linear layer; input (n, 1, 8, 8) in [0, 1], output (n, 10) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(32 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).flatten(1))


def build() -> nn.Module:
    return DigitNet()


def data() -> dict[str, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return {"inputs": (digits.images / 16.0).astype(np.float32)[:, None], "labels": digits.target}
