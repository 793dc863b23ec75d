"""Which tool this is: its version, and a digest of the files that decide what it says."""

import hashlib
from functools import cache
from pathlib import Path

from auditor import __version__
from auditor.core.errors import AuditorError
from auditor.resources import folder

KEY = "auditor"
"""Under this name a run keeps the build that made it, beside the versions of the libraries."""

_KINDS = frozenset({".py", ".yaml", ".j2", ".css"})


def build() -> str:
    """The version with the first signs of :func:`code_digest`: two states of one version number differ."""
    return f"{__version__}, code {code_digest()[:12]}"


@cache
def code_digest() -> str:
    """SHA-256 over names and content of the code, law packs, scenarios and templates, in a fixed order."""
    package = Path(__file__).parent
    found = [("auditor", path.relative_to(package), path) for path in _files(package) if "_assets" not in path.parts]
    for name in ("templates", "scenarios"):
        try:
            root = folder(name)
        except AuditorError:
            continue
        found += [(name, path.relative_to(root), path) for path in _files(root)]
    digest = hashlib.sha256()
    for name, inside, path in sorted(found):
        digest.update(f"{name}/{inside.as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.suffix in _KINDS and path.is_file()]
