"""The recipes of docs/scaling.md: shell that a shell accepts, YAML that is a Ray job, settings that exist."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from auditor.config.settings import BudgetSettings, ComputeSettings

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
@pytest.mark.parametrize("script", blocks("sh"))
def test_shell_is_well_formed(script: str) -> None:
    done = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
def test_the_slurm_job_starts_ray_on_every_node_before_the_audit(tmp_path: Path) -> None:
    """Run with stand-ins for Slurm, Ray and auditor that write down how they were called."""
    script = next(block for block in blocks("sh") if "SBATCH" in block)
    for name in ("srun", "auditor", "sleep"):
        say = 'case "$*" in *"hostname --ip-address") echo "10.0.0.1 x";; esac\n'
        text = f'#!/bin/sh\necho "{name} $RAY_ADDRESS $*" >> "{tmp_path}/calls"\n{say}'
        (tmp_path / name).write_text(text)
    (tmp_path / "scontrol").write_text("#!/bin/sh\nprintf 'node1\\nnode2\\n'\n")
    for child in tmp_path.iterdir():
        child.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "4",
        "RAY_ADDRESS": "",
    }
    subprocess.run(["sh"], input=script, text=True, env=environment, cwd=tmp_path, check=True, timeout=60)
    calls = _calls(tmp_path / "calls", expected=6)
    assert any("--nodelist=node1 ray start --head" in call for call in calls)
    assert any("--nodes=1 --ntasks=1 --exclude=node1 ray start --address=10.0.0.1:6379" in call for call in calls)
    assert any(call.startswith("auditor 10.0.0.1:6379 run audit.yaml --executor ray") for call in calls)


def _calls(log: Path, *, expected: int) -> list[str]:
    """What was called; jobs in the background may write after the script has ended."""
    deadline = time.monotonic() + 20
    while len(lines := log.read_text().splitlines()) < expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return lines


def test_the_kubernetes_job_runs_the_audit() -> None:
    (job,) = (yaml.safe_load(block) for block in blocks("yaml"))
    assert job["kind"] == "RayJob"
    assert "--executor ray" in job["spec"]["entrypoint"]
    assert {"headGroupSpec", "workerGroupSpecs"} <= job["spec"]["rayClusterSpec"].keys()


def test_settings_that_the_page_names_exist() -> None:
    named = set(re.findall(r"`(budget|compute)\.(\w+)", PAGE))
    models = {"budget": BudgetSettings, "compute": ComputeSettings}
    assert named
    assert all(name in models[block].model_fields for block, name in named)
