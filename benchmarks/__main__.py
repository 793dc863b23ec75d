"""``python -m benchmarks [NAME [ARGUMENTS]]``: one benchmark, or all of them one after the other, as tables."""

import runpy
import sys
from pathlib import Path

paths = {path.stem: path for path in sorted(Path(__file__).parent.glob("[a-z]*.py"))}
name, *arguments = sys.argv[1:] or [""]
if name and name not in paths:
    sys.exit(f"there is no benchmark '{name}'; there are {', '.join(paths)}")
for path in [paths[name]] if name else paths.values():
    print(f"\n== {path.stem}", flush=True)
    sys.argv = [str(path), *arguments]
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as stop:
        if stop.code:
            print(f"{path.stem}: ended with {stop.code}")
