"""One batch and one gradient: what they show, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest

from auditor.config.settings import FederationSettings
from auditor.targets.load import load_and_probe
from auditor.targets.sizes import federation_sizes
from tests.targets.projects import document

CODE = """
import torch
from torch import nn
class build(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 3)
        {init}
    def forward(self, x):
        x = x.flatten(1)
        {mix}
        return self.fc(x)
"""


@pytest.mark.parametrize(
    ("init", "mix", "mixes"),
    [
        ("", "", False),
        ("", "x = x - x.mean(0)", True),
        ("", "x = x - x.mean(1, keepdim=True)", False),
        ("self.n = nn.BatchNorm1d(16)", "x = self.n(x)", True),
        ("self.n = nn.LayerNorm(16)", "x = self.n(x)", False),
        ("self.n = nn.Dropout(0.5)", "x = self.n(x)", False),
    ],
)
def test_layers_across_records_are_found_by_what_they_do(tmp_path: Path, init: str, mix: str, mixes: bool) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.random((60, 4, 4)), y=np.arange(60) % 3)
    code = CODE.format(init=init or "pass", mix=mix or "pass")
    given = document(tmp_path, code=code, data={"path": "d.npz", "inputs": "x", "labels": "y"})
    _, seen = load_and_probe(given)
    assert seen.mixes_records is mixes
    assert 0 < seen.loss < 3
    assert seen.gradient_norm > 0


@pytest.mark.parametrize(
    ("settings", "members", "sizes"),
    [
        ({"algorithm": "fedavg", "clients": 4}, 400, (100, 100, 7, 4)),
        ({"algorithm": "fedsgd", "clients": 4}, 400, (100, 16, 1, 4)),
        ({"algorithm": "fedsgd", "clients": 40}, 400, (10, 10, 1, 40)),
        (
            {
                "algorithm": "fedavg",
                "clients": 10,
                "local": {"epochs": 3, "batch_size": 20},
                "participation": {"scheme": "fixed_size", "count": 3},
            },
            400,
            (40, 40, 6, 3),
        ),
        (
            {"algorithm": "fedavg", "clients": 10, "participation": {"scheme": "poisson", "rate": 0.25}},
            400,
            (40, 40, 3, 2),
        ),
        ({"algorithm": "fedavg", "clients": 50}, 10, (1, 1, 1, 50)),
    ],
)
def test_sizes(settings: dict[str, object], members: int, sizes: tuple[int, ...]) -> None:
    found = federation_sizes(FederationSettings.model_validate(settings), members)
    assert tuple(found.values()) == sizes
