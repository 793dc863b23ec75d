"""Real data of the four kinds, as people have it on their disks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auditor.core.shape import Modality
from auditor.learning.functional import FunctionalModel
from auditor.targets.load import load_target
from auditor.targets.target import Target
from tests.targets.projects import CONV, LINEAR, RESNET, document

READER = """
import re, zlib
from torch import nn
class Reader(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.words = nn.Embedding(1000, 16)
        self.out = nn.Linear(16, classes)
    def forward(self, tokens):
        return self.out(self.words(tokens).mean(1))
def build(classes):
    return Reader(classes)
def tokenize(text):
    return [1 + zlib.crc32(word.encode()) % 999 for word in re.findall(r"\\w+", text.lower())]
"""

WRITER = """
from torch import nn
class Writer(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(1000, 16)
        self.lstm = nn.LSTM(16, 16, batch_first=True)
        self.out = nn.Linear(16, 1000)
    def forward(self, tokens):
        return self.out(self.lstm(self.words(tokens))[0])
def build():
    return Writer()
from zlib import crc32
def tokenize(text):
    return [1 + crc32(word.encode()) % 999 for word in text.split()]
"""


def data_file(shared_data: Path, name: str) -> str:
    return str(shared_data / "data" / name)


def whole(target: Target) -> set[bytes]:
    """Digests of all records of a target; equal records collapse."""
    return {row.numpy().tobytes() for split in (target.members, target.nonmembers) for row in split.inputs}


class TestImages:
    def test_colour_pictures_with_public_weights(self, shared_data: Path, tmp_path: Path) -> None:
        """ResNet-20 with its public weights scores 99.8 % on members: layout, scale and weights are all right."""
        target = load_target(
            document(
                tmp_path,
                code=RESNET.format(blocks=3),
                data={
                    "path": data_file(shared_data, "images/cifar10_lossless.npz"),
                    "inputs": "images",
                    "labels": "labels",
                    "normalise": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
                    "members": {"split": "train"},
                    "nonmembers": {"split": "test"},
                },
                target={"weights": data_file(shared_data, "weights/cifar10_resnet20.npz")},
            )
        )
        assert target.weights is not None
        assert len(target.members) == 7292
        assert target.model.shape.input_shape == (3, 32, 32)
        assert "batch_norm" in target.model.shape.traits
        model = FunctionalModel(target.model)
        records = target.members[:500]
        answers = model.outputs(model.complete(target.weights), records.inputs)
        assert float((answers.argmax(1) == records.labels).float().mean()) > 0.98
        assert target.model.preprocessing.low == pytest.approx((-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225))

    def test_grey_pictures_without_a_channel(self, shared_data: Path, tmp_path: Path) -> None:
        code = CONV.format(channels=1)
        target = load_target(
            document(
                tmp_path,
                code=code,
                data={
                    "path": data_file(shared_data, "images/mnist_12k.npz"),
                    "inputs": "images",
                    "labels": "labels",
                    "members": {"split": "train"},
                    "nonmembers": {"split": "test"},
                },
            )
        )
        assert target.model.shape.input_shape == (1, 28, 28)
        assert float(target.members.inputs.max()) == 1.0
        assert len(target.members) + len(target.nonmembers) + len(target.population) <= 12000
        assert any("grey channel added" in fact for fact in target.facts)

    def test_byte_identical_xrays_never_sit_on_both_sides(self, shared_data: Path, tmp_path: Path) -> None:
        """The shared notes count 18 repeats within train and 3 within test."""
        target = load_target(
            document(
                tmp_path,
                code=CONV.format(channels=1),
                data={
                    "path": data_file(shared_data, "images/pneumoniamnist.npz"),
                    "inputs": "images",
                    "labels": "labels",
                    "members": {"split": "train"},
                    "nonmembers": {"split": "val"},
                    "population": {"split": "test"},
                },
            )
        )
        members = {row.numpy().tobytes() for row in target.members.inputs}
        assert len(target.members) - len(members) == 18
        assert not any(row.numpy().tobytes() in members for row in target.nonmembers.inputs)
        assert len(target.nonmembers) < 524
        assert any("equal members exactly" in warning for warning in target.warnings)
        assert any("18 members are exact repeats" in warning for warning in target.warnings)

    def test_a_linear_model_takes_pictures_as_rows(self, shared_data: Path, tmp_path: Path) -> None:
        code = "from torch import nn\ndef build():\n    return nn.Linear(784, 10)\n"
        target = load_target(
            document(
                tmp_path,
                code=code,
                data={
                    "path": data_file(shared_data, "images/fashion_mnist_20k.npz"),
                    "inputs": "images",
                    "labels": "labels",
                    "members": {"split": "train", "count": 500},
                    "nonmembers": {"split": "test", "count": 500},
                },
            )
        )
        assert target.model.shape.input_shape == (784,)
        assert {"first_layer_linear", "first_layer_bias"} <= target.model.shape.traits
        assert (len(target.members), len(target.nonmembers)) == (500, 500)


class TestTables:
    @pytest.mark.parametrize(
        ("file", "label", "extra", "width"),
        [
            ("tabular/adult.csv.gz", "income", {}, 108),
            ("tabular/credit_default.csv.gz", "default_next_month", {"categorical": ["SEX", "EDUCATION"]}, 30),
            ("tabular/pima_diabetes.csv.gz", "diabetes", {}, 8),
        ],
    )
    def test_table(
        self, shared_data: Path, tmp_path: Path, file: str, label: str, extra: dict[str, Any], width: int
    ) -> None:
        target = load_target(
            document(
                tmp_path,
                code=LINEAR,
                data={"path": data_file(shared_data, file), "labels": label, "normalise": "standardise", **extra},
                target={"modality": "tabular"},
            )
        )
        assert target.model.shape.input_shape == (width,)
        assert target.model.shape.classes == 2
        columns = target.model.preprocessing.columns
        assert columns[-1].stop == width
        assert label not in {column.name for column in columns}
        assert "split" not in {column.name for column in columns}
        continuous = [column.start for column in columns if column.kind == "continuous"]
        population = target.population.inputs[:, continuous]
        assert torch.allclose(population.mean(0), torch.zeros(len(continuous)), atol=1e-3)
        assert torch.isfinite(target.members.inputs).all()
        # splits drawn by the tool: no record twice
        rows = {
            row.numpy().tobytes() + bytes([int(y)])
            for part in (target.members, target.nonmembers, target.population)
            for row, y in zip(part.inputs, part.labels, strict=True)
        }
        assert len(rows) == len(target.members) + len(target.nonmembers) + len(target.population)

    def test_columns_read_back(self, shared_data: Path, tmp_path: Path) -> None:
        """Decoding by ``columns`` gives the cells of the file."""
        target = load_target(
            document(
                tmp_path,
                code=LINEAR,
                data={
                    "path": data_file(shared_data, "tabular/adult.csv.gz"),
                    "labels": "income",
                    "normalise": "standardise",
                    "members": {"split": "train"},
                    "nonmembers": {"split": "test"},
                },
                target={"modality": "tabular"},
            )
        )
        by_name = {column.name: column for column in target.model.preprocessing.columns}
        age = by_name["age"]
        first = float(target.members.inputs[0, age.start]) * age.scale + age.offset
        assert first == pytest.approx(39, abs=1e-3)
        sex = by_name["sex"]
        assert (sex.kind, sex.stop - sex.start) == ("categorical", 2)
        assert target.members.inputs[0, sex.start : sex.stop].tolist() == [0.0, 1.0]
        missing = [fact for fact in target.facts if fact.startswith("occupation: ")]
        assert missing == ["occupation: 2,809 missing values are a category of their own"]

    def test_clients_by_column(self, shared_data: Path, tmp_path: Path) -> None:
        target = load_target(
            document(
                tmp_path,
                code=LINEAR,
                data={
                    "path": data_file(shared_data, "tabular/adult.csv.gz"),
                    "labels": "income",
                    "normalise": "standardise",
                },
                target={"modality": "tabular"},
                federation={
                    "algorithm": "fedavg",
                    "clients": 5,
                    "partition": {"scheme": "by_column", "column": "race"},
                },
            )
        )
        assert target.member_groups is not None
        assert target.member_groups.shape == (len(target.members),)
        assert len(target.member_groups.unique()) == 5


class TestText:
    def test_sentences_through_a_tokenizer(self, shared_data: Path, tmp_path: Path) -> None:
        target = load_target(
            document(
                tmp_path,
                code=READER,
                data={
                    "path": data_file(shared_data, "text/sst2.jsonl.gz"),
                    "inputs": "text",
                    "labels": "label",
                    "tokenizer": "target.py:tokenize",
                    "max_tokens": 32,
                    "members": {"split": "train"},
                    "nonmembers": {"split": "test"},
                    "population": {"split": "dev"},
                },
                target={"modality": "text"},
            )
        )
        assert target.members.inputs.dtype == torch.int64
        assert target.model.shape.input_shape == (32,)
        assert target.model.preprocessing.vocabulary == 1000
        assert "embedding" in target.model.shape.traits
        assert "continuous_input" not in target.model.shape.traits
        assert len(target.members) == 6920

    def test_clinical_notes_with_text_labels_drop_repeats(self, shared_data: Path, tmp_path: Path) -> None:
        target = load_target(
            document(
                tmp_path,
                code=READER,
                data={
                    "path": data_file(shared_data, "text/mts_dialog_clinical.jsonl.gz"),
                    "inputs": "text",
                    "labels": "label",
                    "tokenizer": "target.py:tokenize",
                    "max_tokens": 64,
                },
                target={"modality": "text"},
            )
        )
        assert target.model.shape.classes == 20
        sizes = [len(part) for part in (target.members, target.nonmembers, target.population)]
        assert sum(sizes) < 1701
        assert any("repeated records left out" in fact for fact in target.facts)

    def test_language_model_needs_no_labels(self, shared_data: Path, tmp_path: Path) -> None:
        target = load_target(
            document(
                tmp_path,
                code=WRITER,
                data={
                    "path": data_file(shared_data, "text/rotten_tomatoes.jsonl.gz"),
                    "inputs": "text",
                    "tokenizer": "target.py:tokenize",
                    "max_tokens": 16,
                    "members": {"count": 300},
                    "nonmembers": {"count": 300},
                    "population": {"count": 100},
                },
                target={"modality": "text", "task": "language_model"},
            )
        )
        assert torch.equal(target.members.labels, target.members.inputs)
        assert target.model.shape.classes == 1000
        assert [len(p) for p in (target.members, target.nonmembers, target.population)] == [300, 300, 100]


class TestSeries:
    @pytest.mark.parametrize(
        ("model", "shape"),
        [
            ("nn.Sequential(nn.Conv1d(1, 4, 7), nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(16, 5))", (1, 140)),
            ("nn.Sequential(nn.Linear(140, 8), nn.ReLU(), nn.Linear(8, 5))", (140,)),
        ],
    )
    def test_heartbeats(self, shared_data: Path, tmp_path: Path, model: str, shape: tuple[int, ...]) -> None:
        target = load_target(
            document(
                tmp_path,
                code=f"from torch import nn\ndef build():\n    return {model}\n",
                data={
                    "path": data_file(shared_data, "timeseries/ecg5000_500.npz"),
                    "inputs": "series",
                    "labels": "labels",
                    "normalise": "standardise",
                },
                target={"modality": "timeseries"},
            )
        )
        assert target.model.shape.input_shape == shape
        assert target.model.shape.classes == 5
        assert Modality.TIMESERIES is target.model.modality
        assert any("fewer than 10 members" in warning for warning in target.warnings)

    def test_recurrent_model_gets_its_channel_last(self, shared_data: Path, tmp_path: Path) -> None:
        code = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 8, batch_first=True)
        self.out = nn.Linear(8, 5)
    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])
"""
        target = load_target(
            document(
                tmp_path,
                code=code,
                data={
                    "path": data_file(shared_data, "timeseries/ecg5000_500.npz"),
                    "inputs": "series",
                    "labels": "labels",
                },
                target={"modality": "timeseries", "model": "target.py:Net"},
            )
        )
        assert target.model.shape.input_shape == (140, 1)


def test_same_settings_same_splits(shared_data: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "code": LINEAR,
        "data": {"path": data_file(shared_data, "tabular/pima_diabetes.csv.gz"), "labels": "diabetes"},
        "target": {"modality": "tabular"},
    }
    first, second = load_target(document(tmp_path, **given)), load_target(document(tmp_path, **given))
    assert first.splits == second.splits
    other = {**given, "audit": {**_audit(), "seed": 1}}
    assert load_target(document(tmp_path, **other)).splits[0].sha256 != first.splits[0].sha256
    assert np.isclose(len(first.members) / 768, 0.4, atol=0.01)


def _audit() -> dict[str, Any]:
    from tests.targets.projects import BASE

    return dict(BASE["audit"])
