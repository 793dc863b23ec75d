"""Many small models on scikit-learn's digits and on shopping baskets, for tests of membership attacks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from auditor.attacks.base import Knowledge, ReferenceModels
from auditor.core.shape import Modality, TargetShape, Task
from auditor.observations.model import SharedModel
from auditor.observations.records import Records
from auditor.observations.released import Queries

INPUTS, HIDDEN, CLASSES = 64, 128, 10
BASKETS = 4000
"""Candidates of the case G, of 5,921 baskets."""


@dataclass(frozen=True)
class Split:
    """Candidates (700 + 700 digits, or 2,000 + 2,000 baskets) and population records, inputs in [0, 1]."""

    candidates: Records
    population: Records
    classes: int = CLASSES

    @property
    def width(self) -> int:
        """Values of one record."""
        return self.candidates.inputs.shape[1]


def digits(*, label_noise: float = 0.0, seed: int = 0) -> Split:
    """The research cases D (no noise) and D30 (30 % of the labels redrawn uniformly)."""
    raw = load_digits()
    random = np.random.default_rng(seed)
    order = random.permutation(len(raw.target))
    inputs = torch.tensor(raw.data[order] / 16.0, dtype=torch.float32)
    labels = torch.tensor(raw.target[order], dtype=torch.int64)
    redrawn = torch.tensor(random.random(len(labels)) < label_noise)
    labels = torch.where(redrawn, torch.tensor(random.integers(0, CLASSES, len(labels))), labels)
    return Split(Records(inputs[:1400], labels[:1400]), Records(inputs[1400:], labels[1400:]))


def baskets(shared: Path, *, classes: int, seed: int = 0) -> Split:
    """The case G: distinct real shopping baskets as 169 bits, their classes k-means clusters as Purchase-100's were.

    It stands in for the research's case L (Location-30, 446 bits), which is not to be had: 2,000 members, 2,000
    non-members and 1,921 population records.

    Args:
        shared: The folder of shared data.
        classes: 10, 30 or 100.
        seed: Of the order.
    """
    with np.load(shared / "data" / "tabular" / "groceries_baskets.npz", allow_pickle=False) as file:
        bits = np.unpackbits(file["packed"], axis=1)[:, : int(file["n_features"])]
        labels = file[f"labels_k{classes}"]
    order = np.random.default_rng(seed).permutation(len(labels))
    inputs = torch.tensor(bits[order], dtype=torch.float32)
    named = torch.tensor(labels[order], dtype=torch.int64)
    return Split(Records(inputs[:BASKETS], named[:BASKETS]), Records(inputs[BASKETS:], named[BASKETS:]), classes)


def shared_model(*, task: Task = Task.CLASSIFICATION, inputs: int = INPUTS, classes: int = CLASSES) -> SharedModel:
    """The MLP inputs-128-classes of the research as participants know it."""
    shape = TargetShape(
        modality=Modality.TABULAR,
        task=task,
        classes=classes,
        input_shape=(inputs,),
        parameters=inputs * HIDDEN + HIDDEN + HIDDEN * classes + classes,
        traits=frozenset(),
        members=700,
        nonmembers=700,
        population=397,
        records_per_client=700,
        records_per_update=700,
        local_steps=1,
        aggregated_clients=1,
    )
    return SharedModel(
        build=lambda: torch.nn.Sequential(
            torch.nn.Linear(inputs, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, classes)
        ),
        loss=lambda outputs, labels: F.cross_entropy(outputs, labels, reduction="none"),
        shape=shape,
    )


@dataclass(frozen=True)
class Models:
    """K MLPs inputs-128-classes side by side, each parameter with leading K."""

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor

    @classmethod
    def fresh(cls, k: int, generator: torch.Generator, *, inputs: int = INPUTS, classes: int = CLASSES) -> "Models":
        def uniform(fan_in: int, *shape: int) -> Tensor:
            return (torch.rand(k, *shape, generator=generator) * 2 - 1) / fan_in**0.5

        return cls(
            uniform(inputs, inputs, HIDDEN),
            uniform(inputs, 1, HIDDEN),
            uniform(HIDDEN, HIDDEN, classes),
            uniform(HIDDEN, 1, classes),
        )

    def parameters(self) -> list[Tensor]:
        return [self.w1, self.b1, self.w2, self.b2]

    def outputs(self, inputs: Tensor) -> Tensor:
        """(K, n, inputs) or (n, inputs) -> logits (K, n, classes)."""
        if inputs.dim() == 2:
            inputs = inputs.expand(len(self.w1), -1, -1)
        hidden = torch.baddbmm(self.b1, inputs, self.w1).relu()
        return torch.baddbmm(self.b2, hidden, self.w2)


def train(
    records: Records,
    rows: Tensor,
    *,
    epochs: int = 60,
    learning_rate: float = 0.05,
    momentum: float = 0.9,
    batch: int = 64,
    seed: int = 0,
    classes: int = CLASSES,
) -> Models:
    """Train one model per row of ``rows`` (K, m): indices into ``records``. SGD with momentum, batches of 64."""
    generator = torch.Generator().manual_seed(seed)
    k, m = rows.shape
    models = Models.fresh(k, generator, inputs=records.inputs.shape[1], classes=classes)
    parameters = [p.requires_grad_() for p in models.parameters()]
    speed = [torch.zeros_like(p) for p in parameters]
    for _ in range(epochs):
        order = rows.gather(1, torch.rand(k, m, generator=generator).argsort(dim=1))
        for start in range(0, m, batch):
            index = order[:, start : start + batch]
            logits = models.outputs(records.inputs[index])
            loss = F.cross_entropy(logits.flatten(0, 1), records.labels[index].flatten(), reduction="sum")
            gradients = torch.autograd.grad(loss / index.shape[1], parameters)
            with torch.no_grad():
                for p, v, g in zip(parameters, speed, gradients, strict=True):
                    p -= learning_rate * v.mul_(momentum).add_(g)
    return Models(*(p.detach() for p in parameters))


def losses(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each record, (K, n)."""
    return -torch.log_softmax(outputs, -1).gather(-1, labels.expand(outputs.shape[:-1]).unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True)
class Pool:
    """Models trained on complementary halves of the candidates: any of them can be target, the rest references.

    Model ``2 i`` and ``2 i + 1`` are complements.
    """

    split: Split
    outputs: Tensor
    included: Tensor
    population_outputs: Tensor

    def game(self, target: int, references: int) -> tuple[Queries, Knowledge, Tensor]:
        """The observation, the knowledge with that many references (in pairs, target's complement left out), truth."""
        labels = self.split.candidates.labels
        others = [i for i in range(len(self.outputs)) if i // 2 != target // 2]
        start = (target // 2 * 2) % len(others)
        chosen = torch.tensor((others[start:] + others[:start])[:references], dtype=torch.int64)
        population = self.split.population
        known = Knowledge(
            model=shared_model(inputs=self.split.width, classes=self.split.classes),
            population=population,
            population_outputs=self.population_outputs[target],
            population_losses=losses(self.population_outputs[target], population.labels),
            references=ReferenceModels(
                outputs=self.outputs[chosen],
                losses=losses(self.outputs[chosen], labels),
                included=self.included[chosen],
                population_outputs=self.population_outputs[chosen],
                population_losses=losses(self.population_outputs[chosen], population.labels),
                population_included=torch.zeros(len(chosen), len(population), dtype=torch.bool),
            ),
        )
        seen = Queries(self.outputs[target], losses(self.outputs[target], labels), labels)
        return seen, known, self.included[target]


def pool(split: Split, *, pairs: int, seed: int = 0, epochs: int = 60) -> Pool:
    """Train ``2 * pairs`` models on complementary random halves of the candidates."""
    generator = torch.Generator().manual_seed(seed)
    n = len(split.candidates)
    order = torch.rand(pairs, n, generator=generator).argsort(dim=1)
    rows = torch.stack([order[:, : n // 2], order[:, n // 2 :]], dim=1).flatten(0, 1)
    models = train(split.candidates, rows, seed=seed, epochs=epochs, classes=split.classes)
    included = torch.zeros(2 * pairs, n, dtype=torch.bool).scatter_(1, rows, True)
    return Pool(split, models.outputs(split.candidates.inputs), included, models.outputs(split.population.inputs))
