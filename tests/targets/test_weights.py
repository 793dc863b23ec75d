"""Weights: what fits is loaded, what could run code is never opened."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from auditor.core.errors import TargetError
from auditor.targets.weights import load_weights

WHERE = "audit.yaml:7:3: target.weights"


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.fixture
def saved() -> dict[str, torch.Tensor]:
    torch.nn.init.normal_((module := model())[0].weight, generator=torch.Generator().manual_seed(1))
    return {name: value.clone() for name, value in module.state_dict().items()}


def refusal(path: Path) -> str:
    with pytest.raises(TargetError) as caught:
        load_weights(path, model(), WHERE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".npz"])
def test_round_trip(tmp_path: Path, saved: dict[str, torch.Tensor], suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    match suffix:
        case ".safetensors":
            save_file(saved, path)
        case ".pt":
            torch.save(saved, path)
        case _:
            np.savez(path, **{name: value.numpy() for name, value in saved.items()})
    found, facts = load_weights(path, model(), WHERE)
    assert facts == []
    assert found.keys() == saved.keys()
    assert all(torch.equal(found[name], saved[name]) for name in saved)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("holder", [None, "state_dict", "model_state_dict"])
def test_what_wrappers_add_is_taken_off(
    tmp_path: Path, saved: dict[str, torch.Tensor], prefix: str, holder: str | None
) -> None:
    value: object = {prefix + name: tensor for name, tensor in saved.items()}
    value = {holder: value, "epoch": 3} if holder else value
    torch.save(value, tmp_path / "w.pth")
    found, facts = load_weights(tmp_path / "w.pth", model(), WHERE)
    assert torch.equal(found["0.weight"], saved["0.weight"])
    assert len(facts) == prefix.count(".") + bool(holder)


def test_half_precision_becomes_single(tmp_path: Path, saved: dict[str, torch.Tensor]) -> None:
    save_file({name: value.half() for name, value in saved.items()}, tmp_path / "w.safetensors")
    found, _ = load_weights(tmp_path / "w.safetensors", model(), WHERE)
    assert found["0.weight"].dtype == torch.float32
    assert found["1.num_batches_tracked"].dtype == torch.int64


def test_batch_counters_may_be_absent(tmp_path: Path, saved: dict[str, torch.Tensor]) -> None:
    del saved["1.num_batches_tracked"]
    save_file(saved, tmp_path / "w.safetensors")
    assert "1.num_batches_tracked" in load_weights(tmp_path / "w.safetensors", model(), WHERE)[0]


def test_mismatch_names_the_first_few(tmp_path: Path, saved: dict[str, torch.Tensor]) -> None:
    del saved["2.bias"]
    saved["2.weight"] = torch.zeros(10, 4)
    saved["head.weight"] = torch.zeros(1)
    save_file(saved, tmp_path / "w.safetensors")
    assert refusal(tmp_path / "w.safetensors") == (
        f"{WHERE}: w.safetensors does not fit the model: missing 2.bias; not in the model head.weight; of another "
        "shape 2.weight is 10x4, the model has 2x4. Use weights that were saved from this architecture."
    )


def test_long_lists_are_cut(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "w.safetensors")
    assert "missing 0.weight, 0.bias, 1.weight and 5 more" in refusal(tmp_path / "w.safetensors")


class _Runs:
    """A pickle that would make a folder if it were opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_wants_code_is_not_opened(tmp_path: Path, protocol: int) -> None:
    torch.save({"w": _Runs(tmp_path / "ran")}, tmp_path / "w.pt", pickle_protocol=protocol)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Runs(tmp_path / "ran"), protocol=protocol))
    for name in ("w.pt", "plain.pt"):
        sentence = refusal(tmp_path / name)
        assert f"{name} holds more than tensors (it asks for " in sentence
        assert "it could run code and is not opened" in sentence
        assert "safetensors.torch.save_file(model.state_dict()" in sentence
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_model_is_not_opened(tmp_path: Path) -> None:
    torch.save(model(), tmp_path / "w.pt")
    assert "holds more than tensors (it asks for torch.nn.modules.container.Sequential)" in refusal(tmp_path / "w.pt")


def test_npz_with_objects_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([_Runs(tmp_path / "ran")], dtype=object))
    assert "w.npz holds Python objects and is not opened" in refusal(tmp_path / "w.npz")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.npz"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut short"])
def test_damaged_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "is damaged or not what its name says" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.npz"])
def test_files_cut_in_the_middle(tmp_path: Path, saved: dict[str, torch.Tensor], name: str) -> None:
    path = tmp_path / name
    if name == "w.pt":
        torch.save(saved, path)
    elif name == "w.npz":
        np.savez(path, **{key: value.numpy() for key, value in saved.items()})
    else:
        save_file(saved, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "is damaged or not what its name says" in refusal(path)


def test_other_refusals(tmp_path: Path, saved: dict[str, torch.Tensor]) -> None:
    assert "there is no file 'none.pt'" in refusal(tmp_path / "none.pt")
    (tmp_path / "w.pkl").write_bytes(b"x")
    assert "'w.pkl' is of a kind that cannot be read safely" in refusal(tmp_path / "w.pkl")
    torch.save([1, 2], tmp_path / "list.pt")
    assert "list.pt holds no tensors by name" in refusal(tmp_path / "list.pt")
    saved["0.weight"][0, 0] = float("nan")
    save_file(saved, tmp_path / "nan.safetensors")
    assert "holds values that are not finite: 0.weight" in refusal(tmp_path / "nan.safetensors")
    torch.jit.save(torch.jit.trace(model().eval(), torch.zeros(2, 3)), tmp_path / "script.pt")
    assert "script.pt is a TorchScript program, not weights" in refusal(tmp_path / "script.pt")
