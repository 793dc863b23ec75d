"""Are the signatures of a release intact, and who made them.

A signature of the PDF must cover its whole revision, and later revisions may only fill further signature fields: any
other change of an earlier object is named. pyHanko's own analysis of such changes walks the whole structure tree and
takes minutes on a tagged report, so this narrower rule replaces it.
"""

import io
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from auditor.core.canonical import canonical_json
from auditor.core.errors import AuditorError
from auditor.report.check import Check
from auditor.report.fields import ROLES, field_name
from auditor.report.keys import require_pyhanko
from auditor.report.load import Evidence
from auditor.report.signing import MARK, signed_files
from auditor.report.signoff import SCHEMA, subjects

UNTRUSTED = "intact; the signer was not checked against a trusted list (--trust CERT)"
RENDERED, FIELDS = 0, 1
"""Revisions of the PDF: as rendered, and with empty fields."""


class Verdict(NamedTuple):
    """What a signature is worth: what is wrong with it, and who made it when."""

    differs: tuple[str, ...]
    signer: str
    at: str
    certificate_sha256: str = ""


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
        yield from _pdf(data, trusted)


# The detached sign-off


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
    return Check(name, differs=tuple(differs), note="" if differs else _note(verdict, trusted))


def _detached(data: bytes, signature: bytes, trusted: Sequence[Any] | None) -> Verdict:
    import asyncio

    from asn1crypto import cms
    from pyhanko.sign.general import extract_certificate_info
    from pyhanko.sign.validation.generic_cms import async_validate_detached_cms

    try:
        signed = cms.ContentInfo.load(signature, strict=True)["content"]
        with _quiet():
            checking = async_validate_detached_cms(
                data,
                signed,
                signer_validation_context=_context(trusted),
                key_usage_settings=_usage(extract_certificate_info(signed).signer_cert),
            )
            status = asyncio.run(checking)
    except Exception as error:  # whatever a broken file makes the parser raise, it is no signature
        return Verdict((f"the signature cannot be read ({type(error).__name__})",), "", "")
    return _verdict(status, trusted, altered="the statement was altered after signing")


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


# The PDF


def _pdf(data: bytes, trusted: Sequence[Any] | None) -> Iterator[Check]:
    from pyhanko.pdf_utils.reader import PdfFileReader

    try:
        reader = PdfFileReader(io.BytesIO(data))
        signatures = list(reader.embedded_signatures)
    except Exception as error:  # a damaged file raises whatever its first broken object meets
        yield Check("signatures of report.pdf", differs=(f"the file cannot be read ({type(error).__name__})",))
        return
    for signature in signatures:
        verdict = _embedded(signature, trusted)
        name = f"signature of report.pdf in the field {signature.field_name}"
        yield Check(name, differs=verdict.differs, note="" if verdict.differs else _note(verdict, trusted))
    with _quiet():
        changed = tuple(_changes(reader, {signature.signed_revision for signature in signatures}))
    yield Check("report.pdf was not changed beside its signatures", differs=changed)


def _embedded(signature: Any, trusted: Sequence[Any] | None) -> Verdict:
    import asyncio

    from pyhanko.sign.validation.pdf_embedded import async_validate_pdf_signature
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    try:
        with _quiet():
            checking = async_validate_pdf_signature(
                signature, _context(trusted), key_usage_settings=_usage(signature.signer_cert), skip_diff=True
            )
            status = asyncio.run(checking)
        coverage = signature.evaluate_signature_coverage()
    except Exception as error:  # whatever a broken signature makes the parser raise, it does not hold
        return Verdict((f"the signature cannot be read ({type(error).__name__}: {error})",), "", "")
    verdict = _verdict(status, trusted, altered="report.pdf was altered after signing")
    if coverage < SignatureCoverageLevel.ENTIRE_REVISION:
        verdict = verdict._replace(differs=(*verdict.differs, "it does not cover the whole file as it was signed"))
    return verdict


def _changes(reader: Any, signed: set[int]) -> Iterator[str]:
    """What revisions after the empty fields changed, beside the filled fields."""
    total = reader.xrefs.total_revisions
    fields = _fields(reader)
    for revision in range(FIELDS + 1, total):
        if revision not in signed:
            yield f"revision {revision + 1} of {total} was appended without a signature"
        before, after = (reader.get_historical_resolver(revision - k) for k in (1, 0))
        for reference in reader.xrefs.explicit_refs_in_revision(revision):
            yield from _changed_object(reference, before, after, fields)


def _fields(reader: Any) -> dict[int, str]:
    """Object numbers of the roles' fields."""
    root = reader.get_historical_resolver(min(FIELDS, reader.xrefs.total_revisions - 1)).root
    names = {field_name(role) for role in ROLES}
    if "/AcroForm" not in root:
        return {}
    fields = root["/AcroForm"]["/Fields"]
    found = {fields.raw_get(k).idnum: str(fields[k]["/T"]) for k in range(len(fields))}
    return {number: name for number, name in found.items() if name in names}


def _changed_object(reference: Any, before: Any, after: Any, fields: dict[int, str]) -> Iterator[str]:
    try:
        old = before(reference)
    except Exception:  # pyHanko has no single error for an object that is not there
        return
    new = after(reference)
    if not hasattr(old, "keys") or not hasattr(new, "keys"):
        yield f"object {reference.idnum} was replaced"
        return
    keys = {key for key in {*old, *new} if not _same(old, new, key)}
    if extra := sorted(keys - _may_change(reference, before, fields)):
        yield f"object {reference.idnum} was changed: {', '.join(extra)}"
    elif getattr(old, "_encoded_data", None) != getattr(new, "_encoded_data", None):
        yield f"object {reference.idnum} was changed: its content"


def _same(old: Any, new: Any, key: str) -> bool:
    if key not in old or key not in new:
        return False
    return bool(old.raw_get(key) == new.raw_get(key))


def _may_change(reference: Any, before: Any, fields: dict[int, str]) -> frozenset[str]:
    """Keys that signing itself changes: of a field, of the catalogue, of the form."""
    root = before.root
    if reference.idnum in fields:
        return frozenset({"/V", "/AP"})
    if reference.idnum == before.trailer_view.raw_get("/Root").idnum:
        return frozenset({"/Extensions", "/DSS"})
    form = root.raw_get("/AcroForm") if "/AcroForm" in root else None
    return frozenset({"/SigFlags"}) if getattr(form, "idnum", None) == reference.idnum else frozenset()


# Both


def _verdict(status: Any, trusted: Sequence[Any] | None, *, altered: str) -> Verdict:
    import hashlib

    certificate = status.signing_cert
    signer = certificate.subject.human_friendly
    differs = []
    if not status.intact:
        differs.append(altered)
    elif not status.valid:
        differs.append("the signature does not fit the key of its certificate")
    elif trusted is not None and not status.trusted:
        end = certificate.not_valid_after
        past = f", and expired on {end:%Y-%m-%d}" if end < datetime.now(UTC) else ""
        differs.append(f"unknown signer: {signer} does not lead back to a certificate given with --trust{past}")
    when = getattr(status, "signer_reported_dt", None)
    at = f"{when:%Y-%m-%d %H:%M} UTC by the signer's clock" if when else ""
    stamp = getattr(status, "timestamp_validity", None)
    if stamp is not None and not (stamp.intact and stamp.valid):
        differs.append("the time stamp does not fit the signature, or was altered")
    elif stamp is not None:
        at = f"{stamp.timestamp.astimezone(UTC):%Y-%m-%d %H:%M} UTC by the time stamp of {_service(stamp)}"
    return Verdict(tuple(differs), signer, at, hashlib.sha256(certificate.dump()).hexdigest())


def _service(stamp: Any) -> str:
    """Who stamped the time, and whether that is somebody known."""
    name = stamp.signing_cert.subject.human_friendly
    return str(name) if stamp.trusted else f"{name} (that service was not checked, or is not trusted)"


def _note(verdict: Verdict, trusted: Sequence[Any] | None) -> str:
    worth = UNTRUSTED if trusted is None else "intact, by a trusted signer"
    return ", ".join(part for part in (worth, verdict.signer, verdict.at) if part)


def _context(trusted: Sequence[Any] | None) -> Any:
    """Nothing is fetched, and no certificate of the machine counts."""
    from pyhanko_certvalidator import ValidationContext

    return ValidationContext(trust_roots=list(trusted or ()), allow_fetching=False)


def _usage(certificate: Any) -> Any:
    """Uses that a person's certificate must allow: one of these, where it names any (RFC 5280, 4.2.1.3)."""
    from pyhanko.sign.validation.settings import KeyUsageConstraints

    if certificate is None or certificate.key_usage_value is None:
        return KeyUsageConstraints(key_usage=set())
    return KeyUsageConstraints(key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the library's tracebacks about signers that lead to no trusted certificate; the verdict says it."""
    loggers = [logging.getLogger(name) for name in ("pyhanko", "pyhanko_certvalidator")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
