"""One run at a time in a run folder."""

import fcntl
import os
from pathlib import Path
from typing import IO

from auditor.core.errors import StoreError
from auditor.store.atomic import store_errors


class FolderLock:
    """An advisory lock that the system releases when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            StoreError: where another process holds it.
        """
        with store_errors(self._path):
            file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip()
            file.close()
            raise StoreError(
                f"{self._path.parent} is in use by another run" + (f" (process {owner})." if owner else "."),
                remedy="Wait for it to end, or choose another folder with --out.",
            ) from None
        with store_errors(self._path):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back; without effect where it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None
