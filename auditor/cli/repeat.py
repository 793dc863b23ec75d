"""The command of a run as somebody else can repeat it."""

import shlex
from pathlib import Path


def repeatable(command: str, target: Path, **options: object) -> str:
    """The command line with every option that was given; paths as typed where they lie inside the current folder.

    A path from outside is given by its last name alone: the rest may name a person or a machine.
    """
    parts = [*command.split(), _inside(target)]
    for name, value in options.items():
        if value is not None:
            parts += [f"--{name.replace('_', '-')}", _inside(value) if isinstance(value, Path) else str(value)]
    return shlex.join(parts)


def _inside(path: Path) -> str:
    outside = path.is_absolute() or ".." in path.parts or path.parts[:1] == ("~",)
    return (path.name or path.absolute().name) if outside else path.as_posix()
