"""``auditor sign``: a person signs the report of a finished run with their own key."""

import os
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from auditor.cli.finished import finished
from auditor.core.errors import AuditorError, ExitCode

if TYPE_CHECKING:
    from auditor.report.keys import Key
    from auditor.report.signoff import SignOff

PASSPHRASE = "AUDITOR_PASSPHRASE"


class Role(StrEnum):
    """As what somebody signs."""

    ASSESSOR = "assessor"
    DPO = "dpo"
    CONTROLLER = "controller"


class Choice(StrEnum):
    """What the controller decides."""

    APPROVE = "approve"
    CONDITIONS = "approve-with-conditions"
    REJECT = "reject"
    REFER = "refer"


class Only(StrEnum):
    """Which of the two signatures is made."""

    PDF = "pdf"
    RESULTS = "results"


def sign(
    run_dir: Path = typer.Argument(..., metavar="RUN_DIR", help="The folder of a finished run."),
    role: Role | None = typer.Option(None, "--as", help="Your role; each role signs once."),
    name: str = typer.Option("", "--name", help="Your name, as it is printed."),
    key: Path | None = typer.Option(None, "--key", help="Your key and certificate: a PKCS#12 file (.p12, .pfx)."),
    decision: Choice | None = typer.Option(None, "--decision", help="Of the controller; needed there, and only there."),
    remark: str = typer.Option("", "--remark", help="Opinion, conditions or reasons in your own words."),
    passphrase_file: Path | None = typer.Option(
        None, "--passphrase-file", help=f"Holds the passphrase; else ${PASSPHRASE}, else you are asked."
    ),
    timestamp: str = typer.Option("", "--timestamp", help="URL of a time-stamp service (RFC 3161); it is sent a hash."),
    only: Only | None = typer.Option(None, "--only", help="pdf or results; both by default."),
    prepare: bool = typer.Option(False, "--prepare", help="Only add empty fields, to sign with another program."),
) -> None:
    """Sign report.pdf in the field of your role, and the results by a detached signature. No key is stored."""
    from auditor.report import signing
    from auditor.report.keys import Key, time_stamper

    finished(run_dir)
    if prepare:
        typer.echo(f"{signing.prepare(run_dir)} has an empty signature field for each role.")
        return
    who, file = _asked(role, name, key)
    signoff = _signoff(who, name, decision, remark)
    parts = {"pdf": only is not Only.RESULTS, "detached": only is not Only.PDF}
    signing.require_ready(run_dir, signoff, **parts)
    stamper = time_stamper(timestamp) if timestamp else None
    owner = Key(file, _passphrase(passphrase_file))
    owner.require_valid(datetime.now(UTC))
    typer.echo("Checking that the report verifies, before it is signed.", err=True)
    _require_verified(run_dir)
    written = signing.sign_run(run_dir, signoff, owner, timestamper=stamper, **parts)
    _tell(owner, who, name)
    for made in written:
        typer.echo(f"{made.path}\n    covers {made.covers}")


def _asked(role: Role | None, name: str, key: Path | None) -> tuple[Role, Path]:
    """Role and key file, before anybody is asked for a passphrase.

    Raises:
        AuditorError: naming everything that is missing.
    """
    given = {"--as": role, "--name": name.strip(), "--key": key}
    missing = [option for option, value in given.items() if not value]
    if role is None or key is None or missing:
        raise AuditorError(f"Missing: {', '.join(missing)}.", remedy="Say who signs, as what, and with which key.")
    if not key.is_file():
        raise AuditorError(f"{key}: there is no such file.", remedy="Check --key; it ends in .p12 or .pfx as a rule.")
    return role, key


def _signoff(role: Role, name: str, decision: Choice | None, remark: str) -> "SignOff":
    from auditor.report.signoff import Decision, SignOff

    return SignOff(role.value, name.strip(), Decision(decision.value) if decision else None, remark.strip())


def _require_verified(run_dir: Path) -> None:
    """Nobody signs a report that is not what its results give.

    Raises:
        AuditorError: with the first difference.
    """
    from auditor.report.verify import verify

    for check in verify(run_dir, full=False):
        if check.differs:
            raise AuditorError(
                f"Not signed, because {check.name}: {check.differs[0]}.",
                remedy="See auditor verify RUN_DIR; write the report again or restore the files.",
                exit_code=ExitCode.FINDING,
            )


def _passphrase(file: Path | None) -> bytes | None:
    """From a file, the environment, or the keyboard; never from the command line, where others could read it."""
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n").encode() or None
        except OSError as error:
            raise AuditorError(f"{file} cannot be read: {error.strerror}.", remedy="Check --passphrase-file.") from None
    if PASSPHRASE in os.environ:
        return os.environ[PASSPHRASE].encode() or None
    if not sys.stdin.isatty():
        raise AuditorError(
            "The key needs a passphrase, and there is no terminal to ask at.",
            remedy=f"Give --passphrase-file, or set {PASSPHRASE}; leave it empty for a key without one.",
        )
    try:
        asked = typer.prompt("Passphrase of the key", hide_input=True, default="", show_default=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    return str(asked).encode() or None


def _tell(owner: "Key", role: Role, name: str) -> None:
    subject = owner.certificate.subject.human_friendly
    typer.echo(f"Signed as {role.value} by {name}, with the certificate of {subject} (SHA-256 {owner.sha256[:16]}…).")
