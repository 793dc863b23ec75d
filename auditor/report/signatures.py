"""Are the signatures of a release intact, and who made them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from auditor.core.canonical import canonical_json
from auditor.core.errors import AuditorError
from auditor.report.check import Check
from auditor.report.fields import ROLES
from auditor.report.keys import require_pyhanko
from auditor.report.load import Evidence
from auditor.report.pdf_signatures import pdf_checks
from auditor.report.pdf_signing import MARK
from auditor.report.signing import signed_files
from auditor.report.signoff import SCHEMA, subjects
from auditor.report.verdicts import Verdict, context, note_of, quiet, usage, verdict_of


def load_trusted(paths: Sequence[Path]) -> list[Any]:
    """Certificates (PEM or DER) that signers must lead back to.

    Raises:
        AuditorError: for a file that holds none.
    """
    require_pyhanko()
    from pyhanko.keys import load_certs_from_pemder

    found: list[Any] = []
    for path in paths:
        try:
            certificates = list(load_certs_from_pemder([str(path)]))
        except OSError as error:
            raise AuditorError(f"{path} cannot be read: {error.strerror}.", remedy="Check --trust.") from None
        except ValueError as error:
            raise AuditorError(f"{path} holds no certificate: {error}.", remedy="Give PEM or DER files.") from None
        if not certificates:
            raise AuditorError(f"{path} holds no certificate.", remedy="Give PEM or DER files.")
        found += certificates
    return found


def signature_checks(run_dir: Path, evidence: Evidence, trusted: Sequence[Any] | None) -> Iterator[Check]:
    """One check for each signature of the release; none where nobody signed.

    Args:
        run_dir: The run.
        evidence: Its results.
        trusted: Certificates from :func:`load_trusted`; None to leave signers unchecked.
    """
    if not signed_files(run_dir):
        return
    try:
        require_pyhanko()
    except AuditorError as error:
        yield Check("signatures", skipped=str(error))
        return
    release = run_dir / "release"
    for role in ROLES:
        if (release / f"signoff.{role}.json").exists() or (release / f"signoff.{role}.p7s").exists():
            yield _signoff(run_dir, role, evidence, trusted)
    pdf = release / "report.pdf"
    if pdf.is_file() and MARK in (data := pdf.read_bytes()):
        yield from pdf_checks(data, trusted)


def _signoff(run_dir: Path, role: str, evidence: Evidence, trusted: Sequence[Any] | None) -> Check:
    name = f"sign-off of the {role}"
    release = run_dir / "release"
    try:
        data = (release / f"signoff.{role}.json").read_bytes()
        signature = (release / f"signoff.{role}.p7s").read_bytes()
    except OSError as error:
        return Check(name, differs=(f"{Path(str(error.filename)).name} is missing",))
    verdict = _detached(data, signature, trusted)
    differs = [*verdict.differs, *_stated(data, role, verdict, run_dir, evidence)]
    return Check(name, differs=tuple(differs), note="" if differs else note_of(verdict, trusted))


def _detached(data: bytes, signature: bytes, trusted: Sequence[Any] | None) -> Verdict:
    import asyncio

    from asn1crypto import cms
    from pyhanko.sign.general import extract_certificate_info
    from pyhanko.sign.validation.generic_cms import async_validate_detached_cms

    try:
        signed = cms.ContentInfo.load(signature, strict=True)["content"]
        with quiet():
            checking = async_validate_detached_cms(
                data,
                signed,
                signer_validation_context=context(trusted),
                key_usage_settings=usage(extract_certificate_info(signed).signer_cert),
            )
            status = asyncio.run(checking)
    except Exception as error:  # whatever a broken file makes the parser raise, it is no signature
        return Verdict((f"the signature cannot be read ({type(error).__name__})",), "", "")
    return verdict_of(status, trusted, altered="the statement was altered after signing")


def _stated(data: bytes, role: str, verdict: Verdict, run_dir: Path, evidence: Evidence) -> Iterator[str]:
    """What the statement says against what is there now."""
    try:
        value = json.loads(data)
        named = {subject["name"]: subject["sha256"] for subject in value["subjects"]}
    except (ValueError, TypeError, KeyError):
        yield "the statement cannot be read"
        return
    if value.get("schema") != SCHEMA or canonical_json(value) != data:
        yield f"the statement is not canonical {SCHEMA}"
    if value.get("role") != role:
        yield f"the statement is for the role {value.get('role')}"
    if verdict.certificate_sha256 and value.get("certificate_sha256") != verdict.certificate_sha256:
        yield f"signed by another key ({verdict.signer}) than the one that the statement names"
    now = {subject["name"]: subject["sha256"] for subject in subjects(run_dir, evidence.results)}
    for name in dict.fromkeys([*named, *now]):
        if name not in now:
            yield f"{name} was signed and is gone"
        elif name not in named:
            yield f"{name} was added after signing"
        elif named[name] != now[name]:
            yield f"{name} was altered after signing: SHA-256 {now[name][:16]}…, {named[name][:16]}… was signed"
