"""Are the signatures of a release intact, and who made them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from auditor.core.canonical import canonical_json
from auditor.core.errors import AuditorError
from auditor.core.results import Results
from auditor.report.check import Check
from auditor.report.fields import ROLES, field_name
from auditor.report.keys import require_pyhanko
from auditor.report.load import Evidence
from auditor.report.pdf_signatures import pdf_checks
from auditor.report.pdf_signing import MARK, is_filled
from auditor.report.signing import signed_files
from auditor.report.signoff import RESULTS, SCHEMA, subjects
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


def signed_results(run_dir: Path, results: Results) -> Iterator[Check]:
    """Whether the results are those that each statement names; none where there is no statement."""
    named = list(_named_results(run_dir / "release"))
    if not named:
        return
    found = results.sha256
    differs = [
        f"results.json was altered after the {role} signed: SHA-256 {found[:16]}…, {digest[:16]}… was signed"
        if digest
        else f"signoff.{role}.json names no results"
        for role, digest in named
        if digest != found
    ]
    yield Check("results.json is the one that was signed", differs=tuple(differs))


def _named_results(release: Path) -> Iterator[tuple[str, str]]:
    """Role and digest of the results that its statement names; no digest where it names none."""
    for role in ROLES:
        path = release / f"signoff.{role}.json"
        if not path.is_file():
            continue
        try:
            subjects = json.loads(path.read_bytes())["subjects"]
            yield role, next((str(one["sha256"]) for one in subjects if one["name"] == RESULTS), "")
        except (OSError, ValueError, TypeError, KeyError):
            yield role, ""


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
        yield from _without_statement(data, release)
        yield from pdf_checks(data, trusted)


def _without_statement(pdf: bytes, release: Path) -> Iterator[Check]:
    """Roles that signed the PDF and of whom the folder holds no statement."""
    for role in ROLES:
        if not any((release / f"signoff.{role}.{end}").exists() for end in ("json", "p7s")) and _is_filled(pdf, role):
            yield Check(
                f"sign-off of the {role}",
                skipped=f"report.pdf carries a signature in this role's field, and the folder holds no "
                f"signoff.{role}.json and .p7s: either the PDF alone was signed, or the statement on results.json was "
                "lost; ask the person who signed",
            )


def _is_filled(pdf: bytes, role: str) -> bool:
    try:
        return is_filled(pdf, field_name(role))
    except Exception:  # a damaged file raises whatever its first broken object meets; pdf_checks says so
        return False


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
