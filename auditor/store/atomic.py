"""Files that are either whole or absent: temporary file, fsync, rename, fsync of the folder."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditor.core.errors import ExitCode, StoreError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP})


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` on ``path`` into a :class:`StoreError` that says what to change.

    A full disk is met in the middle of a run: what was finished is kept, so it exits as incomplete.
    """
    try:
        yield
    except OSError as error:
        raise _sentence(path, error) from error


def _sentence(path: Path, error: OSError) -> StoreError:
    if error.errno in _FULL:
        return StoreError(
            f"the disk is full: {path} could not be written; everything finished before it is kept.",
            remedy="Free some space and run again with the same --out to resume.",
            exit_code=ExitCode.INCOMPLETE,
        )
    if error.errno in _FORBIDDEN:
        return StoreError(
            f"{path} cannot be written: {os.strerror(error.errno or 0).lower()}.",
            remedy="Choose a folder that you may write to with --out.",
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return StoreError(f"{path} is in the way of the run folder.", remedy="Choose another folder with --out.")
    return StoreError(
        f"{path} could not be read or written: {error.strerror or error}.",
        remedy="Check the disk, or choose another folder with --out.",
        exit_code=ExitCode.INCOMPLETE,
    )


def make_folder(path: Path, *, mode: int = 0o755) -> None:
    """Create ``path`` with its parents; an existing folder is fine."""
    with store_errors(path):
        path.mkdir(parents=True, exist_ok=True, mode=mode)


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` so that a crash at any instant leaves the old file or the new one, never a part.

    Raises:
        StoreError: when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with store_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames in ``path`` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
