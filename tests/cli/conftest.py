"""The real entry point, in this process."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def auditor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, with its exit code and what it printed."""
    from auditor.cli.main import main

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["auditor", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Ran(code, *capsys.readouterr())

    return run


def refused(ran: Ran, sentence: str) -> None:
    """A mistake of the user: one sentence on stderr, exit code 2, no traceback, nothing on stdout."""
    assert ran.code == 2, ran
    assert sentence in ran.err, ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
