import hashlib
import multiprocessing
import stat
from pathlib import Path

import numpy as np
import pytest

from auditor.core.errors import ExitCode, StoreError
from auditor.store.journal import JournalEntry, UnitStatus
from auditor.store.run_directory import RunDirectory


def unit(key: str, status: UnitStatus = UnitStatus.DONE) -> JournalEntry:
    return JournalEntry(key=key, kind="attack", name="membership/lira", status=status)


def hold(path: Path, taken: "multiprocessing.synchronize.Event", done: "multiprocessing.synchronize.Event") -> None:
    with RunDirectory(path).opened():
        taken.set()
        done.wait(30)


def test_a_finished_unit_is_found_again(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run").opened() as directory:
        kept = directory.save_unit(unit("aa"), b"output")
    with RunDirectory(tmp_path / "run").opened() as directory:
        assert directory.finished() == {"aa": kept}
        assert directory.output_path("aa").read_bytes() == b"output"
    assert kept.sha256 == hashlib.sha256(b"output").hexdigest()


@pytest.mark.parametrize("status", [UnitStatus.FAILED, UnitStatus.CUT])
def test_failed_and_cut_units_are_done_again(tmp_path: Path, status: UnitStatus) -> None:
    with RunDirectory(tmp_path).opened() as directory:
        directory.save_unit(unit("aa", status), b"output")
        assert directory.finished() == {}


def test_a_unit_whose_output_is_missing_or_short_is_done_again(tmp_path: Path) -> None:
    with RunDirectory(tmp_path).opened() as directory:
        for key in ("aa", "bb", "cc"):
            directory.save_unit(unit(key), b"output")
        directory.output_path("aa").unlink()
        directory.output_path("bb").write_bytes(b"out")
        assert list(directory.finished()) == ["cc"]


def test_personal_data_is_for_the_owner_alone(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run").opened() as directory:
        directory.save_unit(unit("aa"), b"output")
        scores = directory.write_restricted("released-model/scores.csv", b"0,1\n")
        private = [directory.units, directory.restricted, directory.units / "aa", scores.parent]
    assert all(stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0 for folder in private)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("")
    with (
        pytest.raises(StoreError, match="holds other files") as caught,
        RunDirectory(tmp_path).opened(),
    ):
        pytest.fail("opened")
    assert caught.value.exit_code is ExitCode.USAGE
    assert [child.name for child in tmp_path.iterdir()] == ["thesis.docx"]


def test_two_runs_cannot_share_a_folder_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    taken, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, taken, done))
    other.start()
    try:
        assert taken.wait(30)
        with (
            pytest.raises(StoreError, match=f"in use by another run .process {other.pid}"),
            RunDirectory(tmp_path).opened(),
        ):
            pytest.fail("opened")
    finally:
        other.kill()
        other.join()
    with RunDirectory(tmp_path).opened() as directory:
        assert directory.finished() == {}


def test_leftovers_of_a_killed_write_are_removed(tmp_path: Path) -> None:
    with RunDirectory(tmp_path).opened():
        pass
    (tmp_path / ".results.json.123.tmp").write_bytes(b"half")
    with RunDirectory(tmp_path).opened():
        assert not list(tmp_path.glob(".*.tmp"))


def test_the_lock_file_is_read_back_and_damage_is_named(tmp_path: Path) -> None:
    with RunDirectory(tmp_path).opened() as directory:
        assert directory.read_lock() is None
        directory.write_lock({"id": "x", "nested": {"ε": [1, 2]}})
        assert directory.read_lock() == {"id": "x", "nested": {"ε": [1, 2]}}
        (tmp_path / "audit.lock.yaml").write_text("a: [")
        with pytest.raises(StoreError, match="damaged"):
            directory.read_lock()


def test_an_array_is_named_by_the_hash_of_its_file(tmp_path: Path) -> None:
    with RunDirectory(tmp_path).opened() as directory:
        array = np.arange(8.0).reshape(2, 4)
        ref = directory.write_array("roc", array)
        assert directory.write_array("roc", array) == ref
        content = (tmp_path / ref.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == ref.sha256
        assert (np.load(tmp_path / ref.file, allow_pickle=False) == array).all()
        assert ref.shape == (2, 4)
