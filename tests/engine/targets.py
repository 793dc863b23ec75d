"""A small real target without files: scikit-learn's digits or tumours, and a model that trains in a second."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from torch import nn

from auditor.config.document import AuditDocument
from auditor.config.settings import AuditSettings
from auditor.core.results import SplitSummary
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.losses import loss_for
from auditor.observations.model import Preprocessing, SharedModel
from auditor.observations.records import Records
from auditor.targets.target import Target

PER_SPLIT = 60
_NAMES = ("members", "nonmembers", "population")


def audit(**changes: Any) -> dict[str, Any]:
    """An audit file as a value, with whole blocks replaced by ``changes``."""
    value: dict[str, Any] = {
        "audit": {
            "name": "Digits",
            "seed": 3,
            "release_context": "partners",
            "organisation": {"data_category": "ordinary"},
        },
        "target": {"model": "target.py:build", "modality": "image", "data": {"path": "target.py:data"}},
        "federation": {
            "algorithm": "fedavg",
            "clients": 3,
            "rounds": 3,
            "local": {"epochs": 1, "batch_size": 10, "learning_rate": 0.1},
        },
        "privacy": {"mechanism": "none"},
        "scenarios": ["honest-server", "released-model"],
        "parameters": {
            "inversion/gradient-matching": {"iterations": 3},
            "membership/lira": {"reference_models": 4},
            "membership/rmia": {"reference_models": 4},
        },
        "budget": {"minutes": 5, "updates": 2},
    }
    return {**value, **changes}


def document(folder: Path, **changes: Any) -> AuditDocument:
    return AuditDocument(folder / "audit.yaml", AuditSettings.model_validate(audit(**changes)), {}, "")


def build_mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))


def build_table() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 2))


def digits_target() -> Target:
    data = load_digits()
    return _target((data.images / 16.0).astype(np.float32)[:, None], data.target, Modality.IMAGE)


def tumour_target() -> Target:
    data = load_breast_cancer()
    inputs = (data.data - data.data.mean(0)) / data.data.std(0)
    return _target(inputs.astype(np.float32), data.target, Modality.TABULAR)


def _target(inputs: np.ndarray, labels: np.ndarray, modality: Modality) -> Target:
    order = np.random.default_rng(0).permutation(len(inputs))[: 3 * PER_SPLIT]
    records = Records(torch.from_numpy(inputs[order]), torch.from_numpy(labels[order].astype(np.int64)))
    build = build_mlp if modality is Modality.IMAGE else build_table
    shape = TargetShape(
        modality=modality,
        task=Task.CLASSIFICATION,
        classes=int(labels.max()) + 1,
        input_shape=tuple(inputs.shape[1:]),
        parameters=sum(p.numel() for p in build().parameters()),
        traits=frozenset({"first_layer_linear", "first_layer_bias", "classifier_bias", "continuous_input"}),
        members=PER_SPLIT,
        nonmembers=PER_SPLIT,
        population=PER_SPLIT,
        records_per_client=PER_SPLIT // 3,
        records_per_update=PER_SPLIT // 3,
        local_steps=2,
        aggregated_clients=3,
    )
    splits = [records[slice(i * PER_SPLIT, (i + 1) * PER_SPLIT)] for i in range(3)]
    return Target(
        model=SharedModel(build, loss_for(Task.CLASSIFICATION), shape, Preprocessing()),
        weights=None,
        members=splits[0],
        nonmembers=splits[1],
        population=splits[2],
        member_groups=None,
        splits=tuple(_summary(name, part) for name, part in zip(_NAMES, splits, strict=True)),
        facts=(),
        warnings=(),
        layers={"Linear": 2},
        model_name="target.py:build",
        model_sha256="0" * 64,
        weights_sha256=None,
    )


def _summary(name: str, records: Records) -> SplitSummary:
    digest = hashlib.sha256(records.inputs.numpy().tobytes()).hexdigest()
    return SplitSummary(name=name, records=len(records), sha256=digest, drawn_by="test")
