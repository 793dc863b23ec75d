"""Settings and models for tests of the simulation."""

import torch
from torch import nn

from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.observations.model import SharedModel
from auditor.observations.records import Records
from tests.learning.models import shared


def federation(**changes: object) -> FederationSettings:
    values: dict[str, object] = {
        "algorithm": "fedavg",
        "clients": 4,
        "rounds": 3,
        "local": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
    }
    return FederationSettings.model_validate({**values, **changes})


def privacy(mechanism: str = "none", **changes: object) -> PrivacySettings:
    if mechanism == "none":
        return PrivacySettings(mechanism="none")
    values: dict[str, object] = {
        "mechanism": mechanism,
        "protects": "record" if mechanism == "dp_sgd" else "client",
        "adjacency": "add_or_remove",
        "noise_multiplier": 1.0,
        "clipping": {"norm": 0.5},
        "sampling": "poisson",
        "delta": 1e-5,
    }
    return PrivacySettings.model_validate({**values, **changes})


def linear() -> nn.Module:
    return nn.Linear(6, 3)


def linear_model() -> SharedModel:
    return shared(linear, (6,))


def flat(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in state.values()])


def separable(n: int, *, seed: int = 0) -> Records:
    """Three classes that a linear model can tell apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    centres = 3 * torch.eye(3, 6)
    return Records(centres[labels] + 0.3 * torch.randn(n, 6, generator=generator), labels)
