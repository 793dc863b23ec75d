import errno
import os
from pathlib import Path

import pytest

from auditor.core.errors import ExitCode, StoreError
from auditor.store.atomic import make_folder, write_atomic


def failing(number: int):
    def raise_it(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return raise_it


def test_the_whole_content_is_there(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"one")
    write_atomic(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert [child.name for child in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_the_old_file_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write_atomic(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(StoreError, match="disk is full") as caught:
        write_atomic(tmp_path / "a", b"new")
    assert caught.value.exit_code is ExitCode.INCOMPLETE
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [child.name for child in tmp_path.iterdir()] == ["a"]


def test_a_forbidden_folder_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(errno.EACCES))
    with pytest.raises(StoreError, match="cannot be written: permission denied") as caught:
        write_atomic(tmp_path / "a", b"new")
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(StoreError, match="in the way"):
            make_folder(path)
