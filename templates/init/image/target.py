"""Model and data of the audit. Put your own in place of these."""

import numpy as np
from torch import nn


def build() -> nn.Module:
    """A fresh model: pictures (n, 1, 8, 8) in [0, 1] to logits (n, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 10),
    )


def data() -> dict[str, np.ndarray]:
    """1,797 handwritten digits that ship with scikit-learn; add "split" where your data has splits."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return {"inputs": digits.images / 16.0, "labels": digits.target}
