"""Small models for tests of learning."""

from collections.abc import Callable

import torch
from torch import nn

from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.losses import loss_for
from auditor.observations.model import LocalTraining, SharedModel
from auditor.observations.records import Records


def shape(input_shape: tuple[int, ...], *, task: Task = Task.CLASSIFICATION, classes: int = 3) -> TargetShape:
    return TargetShape(
        modality=Modality.TABULAR,
        task=task,
        classes=classes,
        input_shape=input_shape,
        parameters=0,
        traits=frozenset(),
        members=0,
        nonmembers=0,
        population=0,
        records_per_client=0,
        records_per_update=0,
        local_steps=0,
        aggregated_clients=0,
    )


def shared(build: Callable[[], nn.Module], input_shape: tuple[int, ...], **more: object) -> SharedModel:
    task = more.pop("task", Task.CLASSIFICATION)
    assert isinstance(task, Task)
    return SharedModel(build=build, loss=loss_for(task), shape=shape(input_shape, task=task), **more)  # type: ignore[arg-type]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def cnn() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))


class BatchNormNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.norm(self.first(inputs))
        return self.last(torch.tanh(hidden))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """One scaled-dot-product attention layer over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.mix = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.read = nn.Linear(8, 11)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.read(self.mix(self.embed(tokens)))  # type: ignore[no-any-return]


def table(n: int, *, seed: int = 0, features: int = 6) -> Records:
    generator = torch.Generator().manual_seed(seed)
    return Records(torch.randn(n, features, generator=generator), torch.randint(0, 3, (n,), generator=generator))


def images(n: int, *, seed: int = 0) -> Records:
    generator = torch.Generator().manual_seed(seed)
    return Records(torch.randn(n, 1, 6, 6, generator=generator), torch.randint(0, 3, (n,), generator=generator))


def recipe(**changes: object) -> LocalTraining:
    values: dict[str, object] = {
        "algorithm": "fedavg",
        "epochs": 2,
        "batch_size": 4,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.0,
        "proximal": 0.0,
        "steps": 1,
        "batch_norm": "train",
    }
    return LocalTraining(**{**values, **changes})  # type: ignore[arg-type]
