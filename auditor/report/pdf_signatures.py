"""Are the signatures of ``report.pdf`` intact, and was it changed beside them.

A signature must cover its whole revision, and later revisions may only fill further signature fields: any other change
of an earlier object is named. pyHanko's own analysis of such changes walks the whole structure tree and takes minutes
on a tagged report, so this narrower rule replaces it.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any

from auditor.report.check import Check
from auditor.report.fields import ROLES, field_name
from auditor.report.verdicts import Verdict, context, note_of, quiet, usage, verdict_of

RENDERED, FIELDS = 0, 1
"""Revisions of the PDF: as rendered, and with empty fields."""


def pdf_checks(data: bytes, trusted: Sequence[Any] | None) -> Iterator[Check]:
    """One check for each signature in the bytes of a PDF, and one for changes beside them."""
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
        yield Check(name, differs=verdict.differs, note="" if verdict.differs else note_of(verdict, trusted))
    with quiet():
        changed = tuple(changes_beside(reader, {signature.signed_revision for signature in signatures}))
    yield Check("report.pdf was not changed beside its signatures", differs=changed)


def _embedded(signature: Any, trusted: Sequence[Any] | None) -> Verdict:
    import asyncio

    from pyhanko.sign.validation.pdf_embedded import async_validate_pdf_signature
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    try:
        with quiet():
            checking = async_validate_pdf_signature(
                signature, context(trusted), key_usage_settings=usage(signature.signer_cert), skip_diff=True
            )
            status = asyncio.run(checking)
        coverage = signature.evaluate_signature_coverage()
    except Exception as error:  # whatever a broken signature makes the parser raise, it does not hold
        return Verdict((f"the signature cannot be read ({type(error).__name__}: {error})",), "", "")
    verdict = verdict_of(status, trusted, altered="report.pdf was altered after signing")
    if coverage < SignatureCoverageLevel.ENTIRE_REVISION:
        verdict = verdict._replace(differs=(*verdict.differs, "it does not cover the whole file as it was signed"))
    return verdict


def changes_beside(reader: Any, signed: set[int]) -> Iterator[str]:
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
