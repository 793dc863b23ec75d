"""The journal: one line for each finished unit of work, each line with its own checksum."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from auditor.store.atomic import store_errors


class UnitStatus(StrEnum):
    """How a unit ended. ``cut`` gave an output, but the budget ended it early: a later run does it again."""

    DONE = "done"
    CUT = "cut"
    FAILED = "failed"


@dataclass(frozen=True)
class JournalEntry:
    """One finished unit.

    Attributes:
        key: Content key of the unit.
        kind, name: What it was, for people.
        status: See :class:`UnitStatus`.
        size: Bytes of its output; 0 where it has none.
        sha256: Of its output; empty where it has none.
        seconds, cpu_seconds: Wall and processor time it took.
        reason: Why it failed.
    """

    key: str
    kind: str
    name: str
    status: UnitStatus
    size: int = 0
    sha256: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    reason: str = ""

    def to_line(self) -> bytes:
        """The entry as one line of JSON with a checksum."""
        value = asdict(self)
        return (json.dumps({**value, "check": _check(value)}, sort_keys=True) + "\n").encode()

    @classmethod
    def from_line(cls, line: bytes) -> "JournalEntry | None":
        """The entry of a line, or None where the line is torn or altered."""
        try:
            value = json.loads(line)
            check = value.pop("check")
            if check != _check(value):
                return None
            return cls(**{**value, "status": UnitStatus(value["status"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def _check(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


class Journal:
    """An append-only file of entries.

    A crash while appending tears at most the last line; it is cut off at the next opening. A line that is
    damaged elsewhere is skipped, and its unit is simply done again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> dict[str, JournalEntry]:
        """The last entry of each key."""
        with store_errors(self._path):
            return {entry.key: entry for entry in self._read()}

    def _read(self) -> Iterator[JournalEntry]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                entry = JournalEntry.from_line(line) if line.endswith(b"\n") else None
                if entry is not None:
                    yield entry

    def repair(self) -> None:
        """Cut off a torn last line, so that the next entry starts on a line of its own."""
        with store_errors(self._path):
            if not self._path.exists():
                return
            with self._path.open("rb+") as file:
                content = file.read()
                whole = content.rfind(b"\n") + 1
                if whole < len(content):
                    file.truncate(whole)
                    os.fsync(file.fileno())

    def append(self, entry: JournalEntry) -> None:
        """Add one entry; it is on the disk when this returns.

        A full disk may tear the line; it is then cut off again, so that the file stays readable.
        """
        with store_errors(self._path), self._path.open("ab") as file:
            start = file.tell()
            try:
                file.write(entry.to_line())
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self._path, start)
                raise
