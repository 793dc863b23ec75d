"""Breast tumours (Wisconsin diagnostic table, ships with scikit-learn): a small network on 30 measurements."""

import numpy as np
from torch import nn


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 2))


def data() -> dict[str, np.ndarray]:
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer()
    return {"inputs": table.data.astype(np.float32), "labels": table.target, "columns": table.feature_names}
