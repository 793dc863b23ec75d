"""The folder of one run: what was asked, what was finished, what was found.

Layout::

    audit.lock.yaml  plan.json  journal.jsonl  units/<key>/output.safetensors  results.json  arrays/<sha256>.npy
    release/      what may be shown: no personal data
    restricted/   per-record scores and reconstructions, for the assessor alone
"""

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from auditor.core.errors import StoreError
from auditor.core.measurement import ArrayRef
from auditor.core.results import Results
from auditor.store.atomic import make_folder, store_errors, write_atomic
from auditor.store.journal import Journal, JournalEntry, UnitStatus
from auditor.store.lock import FolderLock

OUTPUT = "output.safetensors"
_PRIVATE = 0o700
_NOTICE = """Only release/ is meant to be shown. units/ and restricted/ hold per-record results of the audited people.
"""


class RunDirectory:
    """Reads and writes one run folder. Every file is written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.units = path / "units"
        self.arrays = path / "arrays"
        self.release = path / "release"
        self.restricted = path / "restricted"
        self._journal = Journal(path / "journal.jsonl")

    @contextmanager
    def opened(self) -> Iterator["RunDirectory"]:
        """Create the folders, hold the lock, and mend a torn journal.

        Raises:
            StoreError: for a folder that cannot be written, holds something else, or is in use.
        """
        self._refuse_foreign()
        make_folder(self.path)
        lock = FolderLock(self.path)
        lock.acquire()
        try:
            for folder in (self.units, self.restricted):
                make_folder(folder, mode=_PRIVATE)
            for folder in (self.arrays, self.release):
                make_folder(folder)
            self._sweep()
            write_atomic(self.path / "README.txt", _NOTICE.encode())
            self._journal.repair()
            yield self
        finally:
            lock.release()

    def _refuse_foreign(self) -> None:
        with store_errors(self.path):
            if not self.path.exists():
                return
            known = {"journal.jsonl", "audit.lock.yaml", ".lock"}
            names = {child.name for child in self.path.iterdir()}
        if names and not names & known:
            raise StoreError(
                f"{self.path} holds other files and is not a run folder.",
                remedy="Choose an empty or a new folder with --out.",
            )

    def _sweep(self) -> None:
        """Remove temporary files of a run that was killed while writing."""
        with store_errors(self.path):
            for folder in (self.path, self.arrays, self.restricted):
                for leftover in folder.glob(".*.tmp"):
                    leftover.unlink(missing_ok=True)

    # Units of work

    def finished(self) -> dict[str, JournalEntry]:
        """Units that need not be done again: journalled as done, with an output of the recorded size."""
        entries = self._journal.entries()
        return {key: entry for key, entry in entries.items() if self._usable(entry)}

    def _usable(self, entry: JournalEntry) -> bool:
        if entry.status is not UnitStatus.DONE:
            return False
        try:
            return self.output_path(entry.key).stat().st_size == entry.size
        except OSError:
            return False

    def output_path(self, key: str) -> Path:
        """Where the output of a unit is."""
        return self.units / key / OUTPUT

    def save_unit(self, entry: JournalEntry, output: bytes) -> JournalEntry:
        """Keep a unit's output, then journal it; a crash in between only repeats this unit.

        Returns:
            The entry with the size and SHA-256 of the output.
        """
        filled = JournalEntry(
            key=entry.key,
            kind=entry.kind,
            name=entry.name,
            status=entry.status,
            size=len(output),
            sha256=hashlib.sha256(output).hexdigest() if output else "",
            seconds=entry.seconds,
            cpu_seconds=entry.cpu_seconds,
            reason=entry.reason,
        )
        if output:
            make_folder(self.units / entry.key, mode=_PRIVATE)
            write_atomic(self.output_path(entry.key), output)
        self._journal.append(filled)
        return filled

    # Documents

    def write_lock(self, value: dict[str, Any]) -> None:
        """``audit.lock.yaml``: the settings as used and everything they refer to, by hash."""
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
        write_atomic(self.path / "audit.lock.yaml", text.encode())

    def read_lock(self) -> dict[str, Any] | None:
        """What ``audit.lock.yaml`` says, or None in a new folder.

        Raises:
            StoreError: when the file is damaged.
        """
        path = self.path / "audit.lock.yaml"
        with store_errors(path):
            if not path.exists():
                return None
            try:
                value = yaml.safe_load(path.read_text(encoding="utf-8"))
            except yaml.YAMLError:
                value = None
        if not isinstance(value, dict):
            raise StoreError(f"{path} is damaged.", remedy="Start in a new folder with --out.")
        return value

    def write_plan(self, value: dict[str, Any]) -> None:
        """``plan.json``."""
        write_atomic(self.path / "plan.json", _pretty(value))

    def write_results(self, results: Results) -> Path:
        """``results.json``; returns its path."""
        path = self.path / "results.json"
        write_atomic(path, _pretty(results.to_json()))
        return path

    def write_array(self, name: str, array: NDArray[np.float64]) -> ArrayRef:
        """Keep a figure's array under the SHA-256 of its bytes."""
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        content = buffer.getvalue()
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.arrays / f"{sha256}.npy"
        if not path.exists():
            write_atomic(path, content)
        return ArrayRef(name=name, file=f"arrays/{sha256}.npy", sha256=sha256, shape=array.shape)

    def write_restricted(self, name: str, content: bytes) -> Path:
        """Keep a file for the assessor alone; ``name`` may hold folders."""
        path = self.restricted / name
        make_folder(path.parent, mode=_PRIVATE)
        write_atomic(path, content)
        return path


def _pretty(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
