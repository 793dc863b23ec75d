"""A decoder from the user's file: loaded as the model is, tried, and refused in one sentence where it does not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from auditor.core.errors import SettingsError, TargetError
from auditor.targets.load import load_target
from tests.targets.projects import LINEAR, document

DECODERS = (
    LINEAR
    + """
import torch
class Decoder(nn.Module):
    def __init__(self, out=64):
        super().__init__()
        self.layer = nn.Linear(3, out)
    def forward(self, latents):
        return self.layer(latents).reshape(len(latents), 1, 8, -1)
def good(): return Decoder()
def wide(): return Decoder(128)
def broken(): return Decoder() .double()
def no_module(): return 7
def infinite(): return nn.Sequential(Decoder(), nn.Threshold(1e9, float("inf")))
"""
)


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 64)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.layer(latents).reshape(-1, 1, 8, 8)


def loaded(folder: Path, prior: dict[str, Any]) -> Any:
    generator = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=generator.random((60, 1, 8, 8), np.float32), y=np.arange(60) % 2)
    given = document(
        folder, code=DECODERS, data={"path": "data.npz", "inputs": "x", "labels": "y"}, target={"prior": prior}
    )
    return load_target(given)


def exported(folder: Path, *, fixed: bool = False) -> None:
    dynamic = None if fixed else ({0: torch.export.Dim("n", min=1)},)
    torch.export.save(torch.export.export(Plain(), (torch.zeros(4, 3),), dynamic_shapes=dynamic), folder / "d.pt2")


def test_a_function_and_an_exported_file_are_priors(tmp_path: Path) -> None:
    prior = loaded(tmp_path, {"decoder": "target.py:good", "latent": 3}).prior
    assert prior.build()(torch.zeros(5, 3)).shape == (5, 1, 8, 8)
    exported(tmp_path)
    target = loaded(tmp_path, {"decoder": "d.pt2", "latent": 3})
    assert target.prior.build()(torch.zeros(5, 3)).shape == (5, 1, 8, 8)
    assert target.prior.sha256 != prior.sha256
    assert any("the decoder d.pt2, with latents of 3" in fact for fact in target.facts)


@pytest.mark.parametrize(
    ("prior", "sentence"),
    [
        ({"decoder": "target.py:wide", "latent": 3}, r"makes shape \(2, 1, 8, 16\) .* needed: \(2, 1, 8, 8\)"),
        ({"decoder": "target.py:good", "latent": 4}, r"does not accept latents of shape \(2, 4\)"),
        ({"decoder": "target.py:no_module", "latent": 3}, "returned int, not a torch.nn.Module"),
        ({"decoder": "target.py:infinite", "latent": 3}, "values that are not numbers"),
        ({"decoder": "none.pt2", "latent": 3}, "there is no file 'none.pt2'"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, prior: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TargetError, match=sentence) as caught:
        loaded(tmp_path, prior)
    assert "target.prior.decoder" in str(caught.value)
    assert "audit.yaml:" in str(caught.value)


def test_a_file_for_one_batch_size_is_refused(tmp_path: Path) -> None:
    exported(tmp_path, fixed=True)
    with pytest.raises(TargetError, match=r"d\.pt2"):
        loaded(tmp_path, {"decoder": "d.pt2", "latent": 3})


def test_a_file_that_may_run_code_is_not_opened(tmp_path: Path) -> None:
    torch.save(Plain(), tmp_path / "d.pt2")
    with pytest.raises(TargetError, match="is not opened"):
        loaded(tmp_path, {"decoder": "d.pt2", "latent": 3})


def test_the_size_of_a_latent_is_required(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="latent"):
        loaded(tmp_path, {"decoder": "target.py:good"})
