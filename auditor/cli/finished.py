"""The folder of a finished run, as an argument of commands."""

from pathlib import Path

from auditor.core.errors import StoreError


def finished(run_dir: Path) -> Path:
    """``run_dir``, where it holds a finished run.

    Raises:
        StoreError: where there is no such folder, or no results in it.
    """
    if not run_dir.exists():
        raise StoreError(f"{run_dir}: there is no such run.", remedy="Name the folder that auditor run --out wrote.")
    if not (run_dir / "results.json").is_file():
        raise StoreError(
            f"{run_dir}: there is no finished run; results.json is missing.",
            remedy="Name the folder that auditor run --out wrote, or let that run come to its end.",
        )
    return run_dir
