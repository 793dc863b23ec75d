"""Write the outlines anew, after recording a run where one is given: ``python -m tests.report.golden [SAMPLE RUN]``."""

import sys
import tempfile
from pathlib import Path

from tests.report import golden

if len(sys.argv) == 3:
    golden.record(sys.argv[1], Path(sys.argv[2]))
names = sorted(file.name.removesuffix(".json.gz") for file in (golden.HERE / "recorded").glob("*.json.gz"))
for name in names:
    with tempfile.TemporaryDirectory() as folder:
        markup = golden.page_of_run(golden.written(name, Path(folder) / "run"))
    golden.outline_file(name).write_text(golden.outline(markup), encoding="utf-8")
    sys.stdout.write(f"{golden.outline_file(name)}\n")
