"""A wheel in an environment of its own finds its templates and scenarios and renders a report."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """An environment that holds the wheel alone; returns its ``bin`` folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for name in filter(None, tracked):
        if (repository / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / name, source / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    return environment / "bin"


def _environment() -> dict[str, str]:
    """Third-party packages by path: .pth files are not read there, so the editable install stays out."""
    return {**os.environ, "PYTHONPATH": sysconfig.get_paths()["purelib"], "PYTHONDONTWRITEBYTECODE": "1"}


def test_the_wheel_is_what_runs_and_brings_its_scenarios(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [installed / "python", "-c", "import auditor; print(auditor.__file__)"],
        cwd=tmp_path, env=_environment(), check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert Path(where.strip()).is_relative_to(installed.parent)
    listed = subprocess.run(
        [installed / "auditor", "list", "scenarios"],
        cwd=tmp_path, env=_environment(), check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "honest-server" in listed


def test_the_wheel_renders_a_report(installed: Path, tmp_path: Path) -> None:
    from tests.report.example_results import EXAMPLES

    run = EXAMPLES["private"]().write(tmp_path / "run")
    done = subprocess.run(
        [installed / "auditor", "report", str(run)],
        cwd=tmp_path, env=_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (run / "release" / "report.html").stat().st_size > 10_000
    assert (run / "release" / "report.pdf").read_bytes().startswith(b"%PDF-")
