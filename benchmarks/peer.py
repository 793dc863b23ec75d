"""breaching in an environment of its own, outside the repository."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.children.inversions import picture, quality
from tests.attacks.inversion import cases

_VERSION = "breaching==0.1.2"
_NEEDS = ("torchvision", "hydra-core", "scipy", "pandas", "tqdm")
_CHILD = Path(__file__).parent / "children" / "breaching_child.py"


def why_missing(environment: Path | None, *, create: bool) -> str:
    """Empty where breaching can be run; otherwise the reason, after trying to install it where that was asked."""
    if environment is None:
        return "no environment named: give --peer-env PATH (or BENCH_PEER_ENV), with --create to make it"
    python = environment / "bin" / "python"
    if not python.exists() and create:
        try:
            _make(environment)
        except subprocess.CalledProcessError as error:
            return f"the environment could not be made: {' '.join(map(str, error.cmd[-2:]))} failed"
    if not python.exists():
        return f"{environment} does not exist; --create makes it"
    found = subprocess.run([python, "-c", "import importlib.util as u; assert u.find_spec('breaching')"], check=False)
    return "" if found.returncode == 0 else f"{environment} holds no breaching"


def _make(environment: Path) -> None:
    """breaching and what it imports; without its own wishes, which would bring another torch."""
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet"]
    torch_of_here = f"torch=={torch.__version__.partition('+')[0]}"
    subprocess.run([*pip, torch_of_here, *_NEEDS], check=True)
    subprocess.run([*pip, "--no-deps", _VERSION, "lpips"], check=True)


def by_breaching(environment: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Its attack 'invertinggradients' on the picture of a task; the gradient must be the one that we attack.

    Raises:
        RuntimeError: where it ends with an error or attacks something else.
    """
    model, truth = picture(task["path"], task["index"], network=task["kind"])
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder) / "task.npz", Path(folder) / "result.npz"
        np.savez(
            given,
            inputs=truth.inputs.numpy(),
            labels=truth.labels.numpy(),
            mean=np.array(cases.CIFAR_MEAN, dtype=np.float32),
            std=np.array(cases.CIFAR_STD, dtype=np.float32),
            iterations=task["iterations"],
            total_variation=task["grid"][0],
            restarts=task["restarts"],
            seed=task["seed"],
        )
        ran = subprocess.run(
            [environment / "bin" / "python", _CHILD, given, result], capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise RuntimeError(f"breaching ended with: {ran.stderr.strip().splitlines()[-1]}")
        with np.load(result) as found:
            answer = {name: found[name] for name in found.files}
    own = cases.gradient_update(model, truth).update
    if not np.allclose(answer["gradients"], np.concatenate([g.flatten().numpy() for g in own.values()]), atol=1e-6):
        raise RuntimeError("breaching was given another gradient")
    reached = quality(model, truth, torch.from_numpy(answer["found"]))
    return {"quality": reached, **{name: float(answer[name]) for name in ("cpu", "wall", "peak")}}
