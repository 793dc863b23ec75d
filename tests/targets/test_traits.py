"""Traits are what a forward pass shows, not what names suggest."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auditor.targets.traits import layer_counts, model_traits


class Scaled(nn.Module):
    """A linear layer that does not see the input as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(2 * x.flatten(1))


class Attends(nn.Module):
    """Attention without a module of that name."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.out = nn.Linear(8, 3, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens)
        return self.out(F.scaled_dot_product_attention(x, x, x).mean(1))


class Backwards(nn.Module):
    """Layers run in another order than they are defined in."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(5, 3, bias=False)
        self.first = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x.flatten(1))))


PICTURES = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
TOKENS = torch.arange(12).reshape(2, 6)


@pytest.mark.parametrize(
    ("model", "inputs", "traits"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3)),
            PICTURES,
            {"first_layer_linear", "first_layer_bias", "classifier_bias", "continuous_input", "gated_layer"},
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(16, 3, bias=False)),
            PICTURES,
            {"first_layer_linear", "dropout", "continuous_input"},
        ),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)),
            PICTURES,
            {"first_layer_bias", "classifier_bias", "batch_norm", "continuous_input"},
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Dropout(0.0), Scaled()),
            PICTURES,
            {"first_layer_bias", "classifier_bias", "continuous_input"},
        ),
        (Backwards(), PICTURES, {"first_layer_linear", "first_layer_bias", "continuous_input", "gated_layer"}),
        (Attends(), TOKENS, {"embedding", "attention"}),
        (
            nn.Sequential(nn.Embedding(20, 8), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)),
            TOKENS,
            {"embedding", "attention", "dropout", "classifier_bias"},
        ),
    ],
)
def test_traits(model: nn.Module, inputs: Tensor, traits: set[str]) -> None:
    model.train()
    assert model_traits(model, inputs) == traits
    assert model.training


def test_a_frozen_first_layer_is_not_the_first_trained_one() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 3))
    model[1].requires_grad_(False)
    assert "first_layer_linear" not in model_traits(model, PICTURES)


def test_watching_leaves_no_hook_and_no_random_number_used() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    before = torch.random.get_rng_state()
    model_traits(model, PICTURES)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(part._forward_hooks for part in model.modules())


def test_layers_are_counted_in_order() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    assert layer_counts(model) == {"Linear": 2, "ReLU": 1}
