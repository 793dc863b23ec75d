"""Tiny audits on real data, as files, and how to run them as a user does."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TARGET = """
import numpy as np
from torch import nn


def digits_model():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def digits():
    from sklearn.datasets import load_digits

    data = load_digits()
    return {"inputs": (data.images[:240] / 16.0).astype(np.float32)[:, None], "labels": data.target[:240]}


def wide_model():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def noisy_digits():
    # Labels drawn at random: what a model knows of them it has by heart.
    from sklearn.datasets import load_digits

    data, random = load_digits(), np.random.default_rng(0)
    inputs = (data.images[:600] / 16.0).astype(np.float32)[:, None]
    return {"inputs": inputs, "labels": random.integers(0, 10, 600)}


def ward_model():
    return nn.Sequential(nn.Linear(10, 128), nn.ReLU(), nn.Linear(128, 4))


def tumour_model():
    return nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 2))


def tumours():
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return {"inputs": data.data[:240].astype(np.float32), "labels": data.target[:240]}
"""

DIGITS: dict[str, Any] = {
    "audit": {
        "name": "Tiny digits",
        "seed": 5,
        "release_context": "partners",
        "organisation": {"data_category": "ordinary"},
    },
    "target": {
        "model": "target.py:digits_model",
        "modality": "image",
        "data": {"path": "target.py:digits", "inputs": "inputs", "labels": "labels"},
    },
    "federation": {
        "algorithm": "fedavg",
        "clients": 3,
        "rounds": 2,
        "local": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
    },
    "privacy": {"mechanism": "none"},
    "scenarios": ["honest-server", "released-model"],
    "parameters": {
        "inversion/gradient-matching": {"iterations": 5},
        "membership/lira": {"reference_models": 6},
        "membership/rmia": {"reference_models": 4},
    },
    "budget": {"minutes": 5},
    "compute": {"vectorise": "always"},
    "report": {"formats": ["html"]},
}

TUMOUR: dict[str, Any] = {
    **DIGITS,
    "audit": {**DIGITS["audit"], "name": "Tiny tumours"},
    "target": {
        "model": "target.py:tumour_model",
        "modality": "tabular",
        "data": {"path": "target.py:tumours", "inputs": "inputs", "labels": "labels", "normalise": "standardise"},
    },
    "privacy": {
        "mechanism": "dp_sgd",
        "protects": "record",
        "adjacency": "add_or_remove",
        "noise_multiplier": 1.0,
        "clipping": {"norm": 1.0},
        "sampling": "poisson",
        "delta": 1.0e-5,
    },
}


def written(folder: Path, base: dict[str, Any], **blocks: Any) -> Path:
    """``audit.yaml`` with its target in ``folder``; ``blocks`` are merged into the blocks of ``base``."""
    merged = {
        name: {**base.get(name, {}), **value} if isinstance(value, dict) else value for name, value in blocks.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "target.py").write_text(TARGET, encoding="utf-8")
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump({**base, **merged}, sort_keys=False), encoding="utf-8")
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "auditor", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def auditor(*arguments: str | Path) -> Done:
    """The command line in this process: what a new process would do, without its start."""
    from auditor.cli.main import main

    out, err, before, code = io.StringIO(), io.StringIO(), sys.argv, 0
    sys.argv = ["auditor", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.argv = before
    return Done(code, out.getvalue(), err.getvalue())


def auditor_process(*arguments: str | Path, **options: Any) -> Done:
    """The command line in a process of its own, for what only a process can meet."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=240, **options
    )
    return Done(done.returncode, done.stdout, done.stderr)


def results_of(run: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return value


def substance(run: Path) -> dict[str, Any]:
    """Results without what may differ between two runs of one audit: times, and who computed them."""
    results = results_of(run)
    text = json.dumps(results).replace(results["run"]["id"], "ID").replace(results["run"]["finished"], "END")
    results = json.loads(text)
    for name in ("id", "started", "finished", "command", "cpu_seconds"):
        results["run"].pop(name)
    results["run"]["environment"].pop("executor")
    for outcome in results["outcomes"]:
        outcome["effort"] = {k: v for k, v in outcome["effort"].items() if not k.endswith("cpu_seconds")}
    accounting = results["accounting"]
    for estimate in [accounting["epsilon"] or {}, *accounting["alternatives"]]:
        estimate.pop("seconds", None)
        for engine in estimate.get("engines", ()):
            engine.pop("seconds")
    return results


def journalled(run: Path) -> list[dict[str, Any]]:
    """Whole lines of the journal."""
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
