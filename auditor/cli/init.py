"""``auditor init``: a commented audit.yaml and a target.py to start from."""

from enum import StrEnum
from pathlib import Path

import typer

from auditor.core.errors import AuditorError


class Starter(StrEnum):
    """Kinds of data that there is a starter for."""

    IMAGE = "image"
    TABULAR = "tabular"
    TEXT = "text"
    TIMESERIES = "timeseries"


def init(
    folder: Path = typer.Argument(Path(), metavar="[DIR]", help="Where to write; made if it is missing."),
    modality: Starter = typer.Option(Starter.IMAGE, help="What a record is."),
    force: bool = typer.Option(False, "--force", help="Overwrite audit.yaml and target.py."),
) -> None:
    """Write a commented audit.yaml and target.py that pass `auditor check` at once."""
    files = _starter(modality.value)
    existing = [name for name in files if (folder / name).exists()]
    if existing and not force:
        raise AuditorError(
            f"{folder / existing[0]} exists already and was not touched.", remedy="Name another folder, or add --force."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise AuditorError(
            f"{folder} cannot be written: {error.strerror}.", remedy="Name a folder that you may write to."
        ) from None
    typer.echo(f"Wrote {folder / 'audit.yaml'} and {folder / 'target.py'}.")
    typer.echo(f"Next: put your model and data into target.py, then `auditor check {folder / 'audit.yaml'}`.")


def _starter(modality: str) -> dict[str, str]:
    """File name -> text. All kinds share one audit.yaml, and differ in its block ``target``."""
    from string import Template

    from auditor.resources import folder as assets

    templates = assets("templates") / "init"
    whole = Template((templates / "audit.yaml").read_text(encoding="utf-8"))
    block = (templates / modality / "target.yaml").read_text(encoding="utf-8")
    return {
        "audit.yaml": whole.substitute(target=block),
        "target.py": (templates / modality / "target.py").read_text(encoding="utf-8"),
    }
