"""Small federations for the tests of inversion attacks: models, pictures and the updates made from them."""

import csv
import gzip
import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from auditor.attacks.base import Knowledge
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import local_training
from auditor.learning.losses import cross_entropy, language_model, mean_squared_error
from auditor.observations.model import Column, LocalTraining, Preprocessing, Privatisation, SharedModel
from auditor.observations.records import Records
from auditor.observations.released import ClientUpdate

CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
TRAITS = frozenset({"continuous_input", "classifier_bias", "first_layer_bias"})


def rlenet32() -> nn.Module:
    """Three 5x5 convolutions with ReLU and a linear head, for 3x32x32."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(32, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(32, 32, 5, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2048, 10),
    )


def lenet_zhu() -> nn.Module:
    """The sigmoid LeNet of DLG (Zhu et al., 2019) for 3x32x32, weights uniform in (-0.5, 0.5)."""
    model = nn.Sequential(
        nn.Conv2d(3, 12, 5, stride=2, padding=2),
        nn.Sigmoid(),
        nn.Conv2d(12, 12, 5, stride=2, padding=2),
        nn.Sigmoid(),
        nn.Conv2d(12, 12, 5, padding=2),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(768, 10),
    )
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return model


def mlp(inputs: int, *hidden: int, classes: int) -> Callable[[], nn.Module]:
    """A ReLU network on flattened inputs."""

    def build() -> nn.Module:
        sizes = [inputs, *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))

    return build


def shared_model(
    build: Callable[[], nn.Module],
    *,
    input_shape: tuple[int, ...],
    classes: int = 10,
    modality: Modality = Modality.IMAGE,
    task: Task = Task.CLASSIFICATION,
    preprocessing: Preprocessing | None = None,
    traits: frozenset[str] = TRAITS,
    records: int = 1,
) -> SharedModel:
    shape = TargetShape(
        modality=modality, task=task, classes=classes, input_shape=input_shape,
        parameters=sum(p.numel() for p in build().parameters()), traits=traits, members=100, nonmembers=100,
        population=100, records_per_client=records, records_per_update=records, local_steps=1, aggregated_clients=1,
    )  # fmt: skip
    loss = cross_entropy if task is Task.CLASSIFICATION else mean_squared_error
    return SharedModel(build, loss, shape, preprocessing or Preprocessing())


def cifar_preprocessing() -> Preprocessing:
    return Preprocessing(CIFAR_MEAN, CIFAR_STD)


def photos(path: str) -> Tensor:
    """The eight photographs, normalised. ``(8, 3, 32, 32)``."""
    arrays = np.load(path, allow_pickle=False)
    pictures = torch.from_numpy(arrays["images"] if "images" in arrays else arrays[arrays.files[0]])
    values = pictures.permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(CIFAR_MEAN).reshape(3, 1, 1)) / torch.tensor(CIFAR_STD).reshape(3, 1, 1)


def photo_records(path: str, chosen: list[int]) -> Records:
    """Photographs with label ``(3 i + 1) mod 10``."""
    return Records(photos(path)[chosen], torch.tensor([(3 * i + 1) % 10 for i in chosen]))


def recipe(
    *,
    algorithm: str = "fedsgd",
    epochs: int = 1,
    batch_size: int = 64,
    learning_rate: float = 0.1,
    steps: int = 1,
    momentum: float = 0.0,
    batch_norm: str = "eval",
) -> LocalTraining:
    return LocalTraining(algorithm, epochs, batch_size, "sgd", learning_rate, momentum, 0.0, steps, batch_norm)


def gradient_update(
    model: SharedModel,
    records: Records,
    *,
    seed: int = 0,
    state: dict[str, Tensor] | None = None,
    local: LocalTraining | None = None,
    privatisation: Privatisation | None = None,
) -> ClientUpdate:
    """What a FedSGD client sends."""
    local = local or recipe()
    functional = FunctionalModel(model, batch_norm=local.batch_norm)
    before = functional.initial_state(seed) if state is None else state
    update = {name: value.detach() for name, value in functional.gradient(before, records, training=True).items()}
    return ClientUpdate(0, before, update, "gradient", len(records), local, privatisation or Privatisation())


def fedavg_update(model: SharedModel, records: Records, local: LocalTraining, *, seed: int = 0) -> ClientUpdate:
    """What a FedAvg client sends whose batches follow the order of ``records``."""
    functional = FunctionalModel(model, batch_norm=local.batch_norm)
    before = functional.initial_state(seed)
    batches = list(torch.arange(len(records)).split(local.batch_size)) * local.epochs
    after = local_training(functional, before, records, local, batches=batches[: local.steps])
    update = {name: (after[name] - before[name]).detach() for name in functional.parameter_names}
    return ClientUpdate(0, before, update, "difference", len(records), local)


def known(model: SharedModel, population: Records | None = None) -> Knowledge:
    return Knowledge(model, population)


def psnr(found: Tensor, truth: Tensor) -> Tensor:
    """PSNR in dB per picture on values in [0, 1], both normalised with the CIFAR constants."""
    std = torch.tensor(CIFAR_STD).reshape(3, 1, 1)
    error = ((found - truth) * std).square().flatten(1).mean(1)
    return -10 * error.clamp_min(1e-12).log10()


class Decoder(nn.Module):
    """A GPT-2-like decoder with pre-norm blocks, learned positions and separate query, key, value layers."""

    def __init__(self, vocabulary: int, width: int, depth: int, *, heads: int = 4, longest: int = 64) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(longest, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        normed = self.before(hidden)
        q, k, v = (
            part(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        hidden = hidden + self.out(mixed.transpose(1, 2).flatten(2))
        return hidden + self.down(nn.functional.gelu(self.up(self.after(hidden))))


def decoder_model(vocabulary: int, width: int, depth: int, *, tokens: int, records: int = 1) -> SharedModel:
    """A language model for the text attacks."""

    def build() -> nn.Module:
        return Decoder(vocabulary, width, depth)

    shape = TargetShape(
        modality=Modality.TEXT, task=Task.LANGUAGE_MODEL, classes=vocabulary, input_shape=(tokens,), parameters=1,
        traits=frozenset({"attention", "embedding"}), members=1, nonmembers=1, population=1,
        records_per_client=records, records_per_update=records, local_steps=1, aggregated_clients=1,
    )  # fmt: skip
    return SharedModel(build, language_model, shape, Preprocessing(vocabulary=vocabulary))


def adult(path: str, *, rows: int = 4000) -> tuple[Records, tuple[Column, ...]]:
    """The Adult census table: numbers standardised, categories one-hot, label = income above 50 K."""
    with gzip.open(path, "rt") as file:
        table = [row for row in csv.DictReader(file) if "?" not in row.values()][:rows]
    parts, columns, start = [], [], 0
    for name in table[0]:
        if name in ("income", "split"):
            continue
        raw = [row[name] for row in table]
        if all(value.lstrip("-").isdigit() for value in raw):
            values = torch.tensor([float(value) for value in raw])
            parts.append(((values - values.mean()) / values.std())[:, None])
            columns.append(Column(name, start, start + 1, "continuous"))
        else:
            levels = sorted(set(raw))
            ids = torch.tensor([levels.index(value) for value in raw])
            parts.append(nn.functional.one_hot(ids, len(levels)).float())
            columns.append(Column(name, start, start + len(levels), "categorical"))
        start = columns[-1].stop
    labels = torch.tensor([int(row["income"] == ">50K") for row in table])
    return Records(torch.cat(parts, 1), labels), tuple(columns)
