"""Signing and verifying: what cannot work is refused at once, before a passphrase or a long check."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import typer

from tests.cli.conftest import Ran, Run, refused


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.p12"
    path.write_bytes(b"no key")
    return path


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """As much of a run as there is to see before its results are read."""
    folder = tmp_path / "run"
    (folder / "release").mkdir(parents=True)
    (folder / "results.json").write_text("{}")
    (folder / "release" / "report.pdf").write_bytes(b"%PDF-1.7")
    return folder


@pytest.fixture(autouse=True)
def nothing_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the keyboard nor the verification may be reached."""

    def reached(what: str) -> Callable[..., NoReturn]:
        def never(*_: object, **__: object) -> NoReturn:
            raise AssertionError(f"{what} was reached")

        return never

    monkeypatch.delenv("AUDITOR_PASSPHRASE", raising=False)
    monkeypatch.setattr("auditor.report.verify.verify", reached("the verification"))
    monkeypatch.setattr("typer.prompt", reached("the question for a passphrase"))


def signed(auditor: Run, run_dir: Path, *more: object) -> Ran:
    return auditor("sign", run_dir, "--name", "N. N.", *more)


def test_an_opinion_is_asked_for_at_once(auditor: Run, run_dir: Path, key: Path) -> None:
    refused(signed(auditor, run_dir, "--as", "dpo", "--key", key), "The opinion is missing.")


def test_a_decision_is_asked_for_at_once(auditor: Run, run_dir: Path, key: Path) -> None:
    refused(signed(auditor, run_dir, "--as", "controller", "--key", key), "Use --decision")
    said = ("--as", "controller", "--key", key, "--decision", "approve-with-conditions")
    refused(signed(auditor, run_dir, *said), "The conditions are missing.")


def test_a_missing_key_file_is_named_before_the_passphrase(auditor: Run, run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.p12"
    refused(signed(auditor, run_dir, "--as", "assessor", "--key", path), f"{path}: there is no such file.")


def test_all_that_is_missing_is_named(auditor: Run, run_dir: Path, key: Path) -> None:
    refused(auditor("sign", run_dir), "Missing: --as, --name, --key.")
    refused(auditor("sign", run_dir, "--as", "assessor", "--key", key), "Missing: --name.")


def test_a_missing_report_is_named(auditor: Run, run_dir: Path, key: Path) -> None:
    (run_dir / "release" / "report.pdf").unlink()
    refused(signed(auditor, run_dir, "--as", "assessor", "--key", key), "Write it first: auditor report")


def test_a_role_that_signed_is_named(auditor: Run, run_dir: Path, key: Path) -> None:
    (run_dir / "release" / "signoff.assessor.p7s").write_bytes(b"signed")
    refused(signed(auditor, run_dir, "--as", "assessor", "--key", key), "Each role signs once")


def test_an_address_of_no_time_stamps_is_named(auditor: Run, run_dir: Path, key: Path) -> None:
    said = ("--as", "assessor", "--key", key, "--timestamp", "tsa.example")
    refused(signed(auditor, run_dir, *said), "no address of a time-stamp service")


def test_a_key_that_cannot_be_opened_is_named(
    auditor: Run, run_dir: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITOR_PASSPHRASE", "secret")
    refused(signed(auditor, run_dir, "--as", "assessor", "--key", key), "key.p12 cannot be opened as PKCS#12")


@pytest.mark.parametrize("command", [("verify",), ("verify", "--quick"), ("sign", "--prepare")])
def test_a_run_that_is_not_there(command: tuple[str, ...], auditor: Run, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    refused(auditor(*command, missing), f"{missing}: there is no such run.")
    refused(auditor(*command, tmp_path), f"{tmp_path}: there is no finished run; results.json is missing.")


def test_without_a_terminal_nobody_is_asked(
    auditor: Run, run_dir: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    said = signed(auditor, run_dir, "--as", "assessor", "--key", key)
    refused(said, "The key needs a passphrase, and there is no terminal to ask at.")
    file = key.with_name("none.txt")
    refused(signed(auditor, run_dir, "--as", "assessor", "--key", key, "--passphrase-file", file), "cannot be read")


def test_giving_up_at_the_question_is_an_interruption(
    auditor: Run, run_dir: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given_up(*_: object, **__: object) -> NoReturn:
        raise typer.Abort

    monkeypatch.setattr("typer.prompt", given_up)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert signed(auditor, run_dir, "--as", "assessor", "--key", key).code == 130


def test_an_anchor_that_is_not_there(auditor: Run, run_dir: Path, tmp_path: Path) -> None:
    refused(auditor("verify", run_dir, "--trust", tmp_path / "none.pem"), "cannot be read: No such file or directory.")


def test_files_and_formats_that_are_not_there(auditor: Run, run_dir: Path, tmp_path: Path) -> None:
    refused(auditor("report", run_dir, "--formats", " , "), "--formats names no format.")
    missing = tmp_path / "none.yaml"
    with_results = auditor("report", run_dir, "--decisions", missing)
    assert with_results.code == 2
    assert "Errno" not in with_results.err
