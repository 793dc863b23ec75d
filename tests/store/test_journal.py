import os
from pathlib import Path

import pytest

from auditor.store.journal import Journal, JournalEntry, UnitStatus


def entry(number: int, status: UnitStatus = UnitStatus.DONE) -> JournalEntry:
    return JournalEntry(key=f"{number:064x}", kind="attack", name="membership/lira", status=status, size=number)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def filled(journal: Journal, count: int) -> Path:
    for number in range(count):
        journal.append(entry(number))
    return journal._path


def test_entries_come_back(journal: Journal) -> None:
    filled(journal, 3)
    assert list(journal.entries().values()) == [entry(0), entry(1), entry(2)]


def test_the_last_entry_of_a_key_counts(journal: Journal) -> None:
    journal.append(entry(1, UnitStatus.FAILED))
    journal.append(entry(1))
    assert journal.entries()[entry(1).key].status is UnitStatus.DONE


def test_every_possible_tear_keeps_all_whole_lines(journal: Journal) -> None:
    content = filled(journal, 3).read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(len(content) + 1):
        journal._path.write_bytes(content[:cut])
        whole = sum(end <= cut for end in ends)
        assert len(journal.entries()) == whole
        journal.repair()
        journal.append(entry(9))
        assert len(journal.entries()) == whole + 1


def test_an_altered_line_does_not_count(journal: Journal) -> None:
    path = filled(journal, 3)
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b'"size": 1', b'"size": 7')
    path.write_bytes(b"\n".join(lines))
    assert list(journal.entries()) == [entry(0).key, entry(2).key]


def test_binary_rubbish_is_skipped(journal: Journal) -> None:
    path = filled(journal, 1)
    with path.open("ab") as file:
        file.write(os.urandom(100).replace(b"\n", b"x") + b"\n[]\nnull\n{}\n")
    assert list(journal.entries()) == [entry(0).key]


def test_no_journal_means_no_entries(journal: Journal) -> None:
    journal.repair()
    assert journal.entries() == {}
