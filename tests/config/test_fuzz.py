"""Whatever a settings file holds, the answer is settings or sentences: never another exception."""

import random
from pathlib import Path

import pytest

from auditor.config.load import load_audit, load_blocks
from auditor.core.errors import AuditorError
from tests.config.test_load import GOOD, audit_file

VALUES = (
    *("null", "[]", "{}", "-1", "0", "1e400", ".nan", "true", "'", '"x"', "[1, [2]]", "{a: {b: c}}", "&a 1", "*a"),
    *("!!python/none", "x: y", "2026-01-01", "\u2028", "0x10", "- a", "[{}]", "{1: 2}", "? a", "|", "<<"),
)


def mutated(text: str, rng: random.Random) -> str:
    """One to four changes: a value swapped, a line gone, repeated or moved in, a character changed."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, 4)):
        index = rng.randrange(len(lines))
        match rng.randrange(5):
            case 0:
                lines[index] = lines[index].split(":")[0] + ": " + rng.choice(VALUES)
            case 1:
                lines.insert(index, lines[index])
            case 2 if len(lines) > 2:
                del lines[index]
            case 3:
                lines[index] = " " * rng.randint(0, 4) + lines[index].strip()
            case _:
                at = rng.randrange(len(lines[index]) + 1)
                lines[index] = lines[index][:at] + rng.choice("{}[]:,#&*!|>'\"%@`\t -a0") + lines[index][at:]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("seed", range(8))
def test_changed_files(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    refused: list[AuditorError] = []
    for _ in range(60):
        path = audit_file(tmp_path, mutated(GOOD, rng))
        for load in (load_audit, load_blocks):
            try:
                load(path)
            except AuditorError as error:
                refused.append(error)
    assert len(refused) > 20
    assert all(str(error).strip() and error.exit_code == 2 for error in refused)
