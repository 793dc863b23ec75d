"""The page in a real browser: no accessibility fault, no console message, no request, nothing wider than the screen.

Needs node, chromium, and a folder with the npm packages ``playwright-core`` and ``axe-core`` named by
``AUDITOR_NODE_MODULES``; skips without them.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report import golden

MODULES = os.environ.get("AUDITOR_NODE_MODULES", "")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = not (BROWSER and shutil.which("node") and Path(MODULES or "/nowhere", "axe-core").is_dir())


def _faults(page: Path) -> list[object]:
    script = Path(__file__).with_name("browser.mjs")
    done = subprocess.run(
        ["node", str(script), MODULES, str(BROWSER), str(page)],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    return list(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.skipif(MISSING, reason="needs node, chromium and AUDITOR_NODE_MODULES with playwright-core and axe-core")
class TestInABrowser:
    @pytest.mark.parametrize("sample", golden.SAMPLES)
    def test_a_report_has_no_serious_fault(self, sample: str, tmp_path: Path) -> None:
        file = tmp_path / "report.html"
        file.write_text(golden.page_of_run(golden.written(sample, tmp_path / "run")), encoding="utf-8")
        assert _faults(file) == []

    def test_faults_are_seen(self, tmp_path: Path, page_of: Callable[[str], str]) -> None:
        file = tmp_path / "report.html"
        broken = '<p style="color:#ccc;width:3000px">x</p><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="></main>'
        file.write_text(page_of("nothing").replace("</main>", broken), encoding="utf-8")
        assert {fault[1] for fault in _faults(file) if isinstance(fault, list)} >= {"overflow", "image-alt"}
