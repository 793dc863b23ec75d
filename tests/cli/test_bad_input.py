"""Mistakes at the command line: one sentence on stderr, exit code 2, no traceback, nothing on stdout."""

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run, refused
from tests.targets.projects import LINEAR, write_audit


@pytest.fixture
def good(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (80, 6, 6), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=pictures, labels=np.arange(80) % 4)
    return write_audit(tmp_path, code=LINEAR, data={"path": "d.npz", "inputs": "images", "labels": "labels"})


def test_a_good_file_passes(auditor: Run, good: Path) -> None:
    ran = auditor("check", good)
    assert ran.code == 0, ran
    assert "classification of image records 1 x 6 x 6, 4 classes" in ran.out
    assert ran.err == ""


def test_missing_file(auditor: Run, tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    refused(auditor("check", path), f"auditor: {path}: there is no such file. Check the name, or write a new one")


def test_unknown_key_and_all_others_at_once(auditor: Run, good: Path) -> None:
    text = good.read_text().replace("mechanism: none", "mechanism: dp_sgd\n  clipping_nrom: 1.0\n  delta: 1.5")
    good.write_text(text.replace("clients: 4", "clients: -4"))
    ran = auditor("check", good)
    refused(ran, "privacy.clipping_nrom: not a setting; did you mean 'clipping_norm'?")
    lines = ran.err.splitlines()
    assert all(line.startswith("audit.yaml:") for line in lines)
    assert any("federation.clients: must be at least 1; received -4" in line for line in lines)
    assert any(
        "privacy.delta: must be less than 1; received 1.5; choose it well below one over" in line for line in lines
    )
    assert any("privacy.protects: required with mechanism 'dp_sgd'" in line for line in lines)


def test_scenarios_that_are_not_there(auditor: Run, good: Path) -> None:
    good.write_text(good.read_text().replace("- honest-server", "- honest-sever\n- outsider"))
    ran = auditor("check", good)
    refused(ran, "scenarios: there is no scenario 'honest-sever'; did you mean 'honest-server'?")
    assert "scenarios: there is no scenario 'outsider'." in ran.err


def test_attacks_and_parameters_that_are_not_there(auditor: Run, good: Path) -> None:
    more = "attacks: [membership/lyra]\nparameters: {inversion/gradient-matching: {iteration: 3}}\n"
    good.write_text(good.read_text() + more)
    ran = auditor("check", good)
    refused(ran, "attacks: there is no attack 'membership/lyra'; did you mean 'membership/lira'?")
    assert "parameters.inversion/gradient-matching.iteration: not a parameter; did you mean 'iterations'?" in ran.err


def test_model_that_does_not_accept_the_data(auditor: Run, good: Path) -> None:
    (good.parent / "target.py").write_text("from torch import nn\ndef build():\n    return nn.Linear(7, 4)\n")
    ran = auditor("check", good)
    refused(ran, "target.model: the model does not accept the data. A batch of shape (5, 1, 6, 6): RuntimeError: mat1")
    assert ran.err.startswith("auditor: audit.yaml:")
    assert ran.err.count("\n") == 1


def test_corrupt_weights(auditor: Run, good: Path) -> None:
    good.write_text(good.read_text().replace("modality: image", "modality: image\n  weights: w.pt"))
    (good.parent / "w.pt").write_bytes(b"\x00" * 50)
    refused(auditor("check", good), "target.weights: w.pt is damaged or not what its name says")


def test_init_never_overwrites(auditor: Run, tmp_path: Path) -> None:
    assert auditor("init", tmp_path).code == 0
    (tmp_path / "target.py").write_text("mine")
    refused(auditor("init", tmp_path), "exists already and was not touched. Name another folder, or add --force.")
    assert (tmp_path / "target.py").read_text() == "mine"
    assert auditor("init", tmp_path, "--force").code == 0
    assert "def build" in (tmp_path / "target.py").read_text()


def test_init_into_a_file(auditor: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(auditor("init", tmp_path / "file"), "cannot be written")


def test_unknown_modality(auditor: Run, tmp_path: Path) -> None:
    ran = auditor("init", "--modality", "smell", tmp_path)
    assert ran.code == 2
    assert "tabular" in ran.err
