"""Find the folders of templates and scenarios, in an installed wheel and in a checkout alike."""

from functools import cache
from pathlib import Path

from auditor.core.errors import AuditorError


@cache
def folder(name: str) -> Path:
    """The folder ``name`` of the project's own files, e.g. ``templates/report`` or ``scenarios``.

    A wheel carries them in ``auditor/_assets``; a checkout has them beside the package.

    Raises:
        AuditorError: when the installation lacks the folder.
    """
    package = Path(__file__).parent
    for candidate in (package / "_assets" / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise AuditorError(
        f"The installation lacks the folder {name!r}.", remedy="Install the package again, or work from a checkout."
    )
