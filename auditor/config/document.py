"""A settings file together with the place of each value in it."""

from dataclasses import dataclass
from pathlib import Path

from auditor.config.settings import AuditSettings


@dataclass(frozen=True)
class AuditDocument:
    """Settings plus positions.

    Attributes:
        path: The file.
        settings: Typed, defaults filled.
        positions: ``privacy.noise_multiplier`` -> ``audit.yaml:14:3`` for every value written in the file.
        text: The file as read; hashed into the lock.
    """

    path: Path
    settings: AuditSettings
    positions: dict[str, str]
    text: str

    def where(self, setting: str) -> str:
        """The place of ``setting``, or of its nearest parent, or the file."""
        parts = setting.split(".")
        while parts:
            found = self.positions.get(".".join(parts))
            if found:
                return found
            parts.pop()
        return self.path.name

    @property
    def folder(self) -> Path:
        """Relative paths in the file are relative to it."""
        return self.path.resolve().parent
