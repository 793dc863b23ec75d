"""How long it takes to write a report: processor seconds of a process of its own, without torch."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from auditor.store.fingerprints import fingerprints
from tests.report import golden

LIMIT_S = 10.0
"""All formats of the largest sample. Measured on two shared cores at full load: 8 s."""

SLACK = 1.2
"""For machines slower than that one."""

SCRIPT = """
import sys
from pathlib import Path
from auditor.report.render import EXPORTS, FORMATS, render
render(Path(sys.argv[1]), (*FORMATS, *EXPORTS))
assert "torch" not in sys.modules and "opacus" not in sys.modules
"""


def _with_fingerprints(run: Path) -> Path:
    """Fingerprints as many as those of the digits sample, of numbers that no report holds."""
    data = {"x": np.random.default_rng(7).uniform(1e3, 1e6, (1_797, 64))}
    path = run / "restricted" / "fingerprints.json"
    path.parent.mkdir()
    path.write_text(json.dumps(fingerprints(data, salt=b"0123456789abcdef")), encoding="utf-8")
    return run


def test_the_largest_sample_is_written_in_ten_seconds(tmp_path: Path) -> None:
    run = _with_fingerprints(golden.written("digits", tmp_path / "run"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", SCRIPT, str(run)], check=True, timeout=600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    assert (run / "release" / "report.pdf").stat().st_size > 100_000
    assert used <= LIMIT_S * SLACK, f"{used:.1f} s"
