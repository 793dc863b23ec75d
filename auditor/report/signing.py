"""Signing a finished report with a person's own key (PKCS#12). Keys and passphrases are used and never kept.

``release/report.pdf`` gets a PAdES signature (ETSI EN 319 142-1) in the field of the role, as an appended revision, so
that earlier signatures stay valid; its text is set in an embedded font, as PDF/A asks. ``release/signoff.<role>.json``
states what is signed, ``release/signoff.<role>.p7s`` is the detached CMS signature (RFC 5652) of those bytes.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditor.core.canonical import canonical_json
from auditor.core.errors import AuditorError
from auditor.report.fields import field_name, with_fields
from auditor.report.keys import Key, require_pyhanko, stamping
from auditor.report.leakcheck import read_fingerprints, refuse_leaks
from auditor.report.load import load_evidence
from auditor.report.pdf_signing import AGAIN, MARK, is_filled, sign_pdf
from auditor.report.signoff import SignOff, require_sensible, statement
from auditor.report.strings import strings
from auditor.store.atomic import write_atomic


@dataclass(frozen=True)
class SignedFile:
    """A file that was written, and in words what its signature covers."""

    path: Path
    covers: str


def signed_files(run_dir: Path) -> list[Path]:
    """Files of the release that carry or are signatures."""
    release = run_dir / "release"
    found = sorted(release.glob("signoff.*.p7s")) + sorted(release.glob("signoff.*.json"))
    with suppress(OSError):
        if MARK in (release / "report.pdf").read_bytes():
            found.insert(0, release / "report.pdf")
    return found


def refuse_signed(run_dir: Path) -> None:
    """Stop before a signed release is written over.

    Raises:
        AuditorError: naming the first signed file.
    """
    found = signed_files(run_dir)
    if found:
        raise AuditorError(
            f"{found[0]} is signed; writing the report again would void the signature.",
            remedy="Use a new --out, or give up the signatures: auditor report RUN_DIR --discard-signatures.",
        )


def discard_signatures(run_dir: Path) -> None:
    """Remove all sign-offs of a release, a signed PDF included."""
    for path in signed_files(run_dir):
        path.unlink()


def require_ready(run_dir: Path, signoff: SignOff, *, pdf: bool = True, detached: bool = True) -> None:
    """What can be refused at once, before a key is opened or a report is checked.

    Raises:
        AuditorError: where what is said is not complete, the report is missing, or the role has signed already.
    """
    require_pyhanko()
    require_sensible(signoff)
    release = run_dir / "release"
    if detached and (release / f"signoff.{signoff.role}.p7s").exists():
        raise AuditorError(f"signoff.{signoff.role}.p7s is there already.", remedy=AGAIN)
    if pdf and is_filled(_read(release / "report.pdf"), field_name(signoff.role)):
        raise AuditorError(
            f"release/report.pdf was not signed: the field {field_name(signoff.role)} is filled already.", remedy=AGAIN
        )


def sign_run(
    run_dir: Path, signoff: SignOff, key: Key, *, pdf: bool = True, detached: bool = True, timestamper: Any = None
) -> list[SignedFile]:
    """Sign a finished run in one role.

    Args:
        run_dir: The run, with its report.
        signoff: Who says what.
        key: Theirs.
        pdf: Sign the role's field of ``release/report.pdf``.
        detached: Write the statement and its detached signature.
        timestamper: A pyHanko time stamper; without one the time is the signer's own.

    Raises:
        AuditorError: where the role has signed already, the report is missing, or what is said is not complete.
    """
    at = datetime.now(UTC)
    require_ready(run_dir, signoff, pdf=pdf, detached=detached)
    key.require_valid(at)
    release, words = run_dir / "release", strings()
    evidence = load_evidence(run_dir)
    value = statement(run_dir, evidence, signoff, words=words, at=at, certificate=key.sha256)
    files: dict[str, bytes] = {}
    if detached:
        name = f"signoff.{signoff.role}"
        files[f"{name}.json"] = canonical_json(value)
        refuse_leaks(files, read_fingerprints(run_dir))
        files[f"{name}.p7s"] = _cms(files[f"{name}.json"], key, timestamper)
    if pdf:
        files["report.pdf"] = sign_pdf(_read(release / "report.pdf"), signoff, key, at=at, timestamper=timestamper)
    for name, data in files.items():
        write_atomic(release / name, data)
    return [SignedFile(release / name, _covers(name, data, value)) for name, data in files.items()]


def _covers(name: str, data: bytes, value: dict[str, Any]) -> str:
    if name == "report.pdf":
        return f"the whole report.pdf before and with this signature, SHA-256 {hashlib.sha256(data).hexdigest()}"
    if name.endswith(".p7s"):
        return f"the bytes of signoff.{value['role']}.json"
    return "; ".join(f"{subject['name']}, SHA-256 {subject['sha256']}" for subject in value["subjects"])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuditorError(
            f"{path} cannot be read: {error.strerror}.", remedy="Write it first: auditor report RUN_DIR."
        ) from None


def prepare(run_dir: Path) -> Path:
    """Add the empty fields alone, for signing with another program.

    Raises:
        AuditorError: where there is no report, or no place for signatures in it.
    """
    require_pyhanko()
    path = run_dir / "release" / "report.pdf"
    write_atomic(path, with_fields(_read(path), strings()))
    return path


def _cms(data: bytes, key: Key, timestamper: Any) -> bytes:
    import asyncio

    made = key.signer.async_sign_general_data(data, "sha256", detached=True, timestamper=timestamper)
    with stamping(timestamper):
        return bytes(asyncio.run(made).dump())
