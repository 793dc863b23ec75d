"""Models of ``torch.export``: plain ones are loaded, those that could run code are not."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from auditor.core.errors import TargetError
from auditor.learning.functional import FunctionalModel
from auditor.targets.exported import load_exported
from auditor.targets.load import load_target
from tests.targets.projects import document

WHERE = "audit.yaml:6:3: target.model"


class Net(nn.Module):
    """A small model with the parts that traits speak of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(x.flatten(1))))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "model.pt2"
    dynamic = {"x": {0: torch.export.Dim("n", min=1)}}
    torch.export.save(torch.export.export(Net(), (torch.zeros(4, 1, 8, 8),), dynamic_shapes=dynamic), path)
    return path


def changed(source: Path, folder: Path, change: Callable[[str, bytes], bytes | None], **added: bytes) -> Path:
    """A copy whose entries went through ``change`` (None = dropped)."""
    path = folder / "changed.pt2"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        root = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            content = change(name.partition("/")[2], old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name, content in added.items():
            new.writestr(f"{root}/{name}", content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(TargetError) as caught:
        load_exported(path, WHERE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_exported_model_is_a_target(exported: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", images=rng.random((60, 8, 8)), labels=np.arange(60) % 3)
    shutil.copy(exported, tmp_path / "model.pt2")
    target = load_target(
        document(
            tmp_path,
            code="",
            data={"path": "d.npz", "inputs": "images", "labels": "labels"},
            target={"model": "model.pt2"},
        )
    )
    shape = target.model.shape
    assert shape.input_shape == (1, 8, 8)
    assert shape.parameters == 64 * 8 + 8 + 8 * 3 + 3
    assert shape.traits == {"first_layer_linear", "first_layer_bias", "classifier_bias", "continuous_input"}
    assert target.weights is None
    assert target.model.evaluation_mode
    model = FunctionalModel(target.model)
    gradients = model.per_record_gradients(model.initial_state(0), target.members[:4])
    assert gradients["first.weight"].shape == (4, 8, 64)


def test_its_weights_are_the_deployed_ones_where_members_are_named(exported: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", train_x=rng.random((60, 8, 8)), train_y=np.arange(60) % 3,
             test_x=rng.random((60, 8, 8)), test_y=np.arange(60) % 3)  # fmt: skip
    shutil.copy(exported, tmp_path / "model.pt2")
    target = load_target(
        document(
            tmp_path,
            code="",
            data={
                "path": "d.npz",
                "inputs": "x",
                "labels": "y",
                "members": {"split": "train"},
                "nonmembers": {"split": "test"},
            },
            target={"model": "model.pt2"},
        )
    )
    assert target.weights is not None
    with torch.no_grad():
        expected = load_exported(exported, WHERE)(target.members.inputs)
        model = FunctionalModel(target.model)
        assert torch.allclose(model.outputs(model.complete(target.weights), target.members.inputs), expected)


def test_a_call_outside_of_tensor_operations_is_refused(exported: Path, tmp_path: Path) -> None:
    def load_from_hub(name: str, content: bytes) -> bytes:
        return content.replace(b"torch.ops.aten.relu.default", b"torch.hub.load") if "models/" in name else content

    assert "it calls 'torch.hub.load', which may run code" in refusal(changed(exported, tmp_path, load_from_hub))


def test_a_size_expression_that_runs_code_is_refused(exported: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    def inject(name: str, content: bytes) -> bytes:
        if not name.startswith("models/"):
            return content
        text = f"__import__('os').mkdir('{marker}')"
        return re.sub(rb'"expr_str": "[^"]*"', lambda _: f'"expr_str": "{text}"'.encode(), content)

    assert "a size expression that is no arithmetic" in refusal(changed(exported, tmp_path, inject))
    assert not marker.exists()


def test_a_name_that_is_code_is_refused(exported: Path, tmp_path: Path) -> None:
    """Names of inputs become parameters of a generated function, whose defaults would be evaluated."""
    marker = tmp_path / "ran"

    def inject(name: str, content: bytes) -> bytes:
        text = f"\"x=__import__('os').mkdir('{marker}')\"".encode()
        return content.replace(b'"x"', text) if name.startswith("models/") else content

    assert "it holds a name that is no name" in refusal(changed(exported, tmp_path, inject))
    assert not marker.exists()


def test_pickled_payloads_are_refused(exported: Path, tmp_path: Path) -> None:
    def pickled(name: str, content: bytes) -> bytes:
        if not name.endswith("model_weights_config.json"):
            return content
        config = json.loads(content)
        for payload in config["config"].values():
            payload["use_pickle"] = True
        return json.dumps(config).encode()

    assert "it holds pickled objects" in refusal(changed(exported, tmp_path, pickled))


def test_sample_inputs_that_are_objects_are_refused(exported: Path, tmp_path: Path) -> None:
    import io
    import os

    marker = tmp_path / "ran"

    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(marker),)

    buffer = io.BytesIO()
    torch.save(Runs(), buffer)

    def swap(name: str, content: bytes) -> bytes:
        return buffer.getvalue() if name.startswith("data/sample_inputs/") else content

    assert "its sample inputs are pickled objects" in refusal(changed(exported, tmp_path, swap))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("data/aotinductor/model/x.so", "it holds compiled machine code"),
        ("data/weights/model.pt", "its weights are pickled"),
    ],
)
def test_entries_that_are_refused(exported: Path, tmp_path: Path, entry: str, reason: str) -> None:
    assert reason in refusal(changed(exported, tmp_path, lambda name, content: content, **{entry: b"x"}))


def test_old_and_damaged_files(exported: Path, tmp_path: Path) -> None:
    old = changed(exported, tmp_path, lambda name, content: None if name == "archive_version" else content)
    assert "it is of an older format with pickled weights" in refusal(old)
    (tmp_path / "x.pt2").write_bytes(b"nothing")
    assert "cannot be read as a torch.export file" in refusal(tmp_path / "x.pt2")
    cut = tmp_path / "cut.pt2"
    cut.write_bytes(exported.read_bytes()[:2000])
    assert "cannot be read as a torch.export file" in refusal(cut)


def test_a_fixed_batch_size_is_explained(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(Net(), (torch.zeros(4, 1, 8, 8),)), tmp_path / "model.pt2")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", images=rng.random((60, 8, 8)), labels=np.arange(60) % 3)
    given = document(
        tmp_path,
        code="",
        data={"path": "d.npz", "inputs": "images", "labels": "labels"},
        target={"model": "model.pt2"},
    )
    with pytest.raises(TargetError, match="exported for one batch size"):
        load_target(given)
