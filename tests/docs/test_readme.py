"""Every command that the documentation shows is run here, and every file it names is there."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_FENCE = re.compile(r"```(?:sh|console)\n(.*?)```", re.S)


def _commands(text: str) -> list[str]:
    """Commands to type; scripts (``#!``) are left to the tests of their page."""
    blocks = [block for block in _FENCE.findall(text) if not block.startswith("#!")]
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line and not line.startswith("#")]


def _documents(repository: Path) -> list[Path]:
    return [repository / "README.md", *sorted((repository / "docs").glob("*.md"))]


@pytest.mark.timeout(1800)
def test_auditor_commands_run(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "samples", tmp_path / "samples")
    commands = [c for path in _documents(repository) for c in _commands(path.read_text()) if c.startswith("auditor ")]
    assert commands, "the README shows no auditor command"
    for command in dict.fromkeys(commands):
        words = shlex.split(command)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "auditor", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1), f"{command}\n{done.stdout}\n{done.stderr}"


def test_make_targets_exist(repository: Path) -> None:
    commands = [c for path in _documents(repository) for c in _commands(path.read_text()) if c.startswith("make ")]
    assert {"make demo", "make test"} <= set(commands)
    for command in dict.fromkeys(commands):
        done = subprocess.run(["make", "-n", *shlex.split(command)[1:]], cwd=repository, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["README.md"])
def test_links_lead_to_files(repository: Path, name: str) -> None:
    text = (repository / name).read_text()
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if not t.startswith(("http", "#"))]
    assert all((repository / target).exists() for target in targets if target), targets
