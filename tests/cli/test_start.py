"""The command line starts fast and without torch."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.cli.main import COMMANDS

_LIST = "import sys; from auditor.cli.main import app; print(*[m for m in sys.modules])"


def test_help_imports_nothing_heavy() -> None:
    loaded = subprocess.run([sys.executable, "-c", _LIST], check=True, capture_output=True, text=True).stdout.split()
    heavy = {"torch", "opacus", "scipy", "matplotlib", "weasyprint", "numpy", "sklearn", "pydantic"}
    assert heavy.isdisjoint(loaded)


def test_help_starts_in_half_a_second() -> None:
    """Processor time, so that other tests on the same cores do not lengthen it."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "auditor", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(5)) <= 0.5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = subprocess.run([sys.executable, "-m", "auditor", command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Usage" in done.stdout


_WITH = """
import sys
from pathlib import Path
sys.argv = ["auditor", *sys.argv[1:]]
from auditor.cli.main import main
try:
    main()
except SystemExit as stop:
    print("code", stop.code)
print("torch" in sys.modules)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["check", "none.yaml"],
        ["plan", "none.yaml"],
        ["run", "none.yaml"],
        ["run", "samples/digits/audit.yaml", "--plan", "none.json"],
        ["run", "samples/digits/audit.yaml", "--against", "none"],
        ["plan", "samples/digits/audit.yaml", "--save", "samples"],
    ],
)
def test_what_is_not_there_is_said_before_anything_heavy_is_loaded(words: list[str], repository: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _WITH, *words], capture_output=True, text=True, cwd=repository)
    assert done.stdout.split() == ["code", "2", "False"], done.stderr
    assert done.stderr.startswith("auditor: ")


def test_the_overview_says_each_command_in_full() -> None:
    shown = subprocess.run([sys.executable, "-m", "auditor", "--help"], capture_output=True, text=True).stdout
    assert "..." not in shown.partition("Commands:")[2]
    assert all(text in shown for text in COMMANDS.values())
    assert "Exit codes" in shown
