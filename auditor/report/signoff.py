"""What somebody puts their name to: a statement in words that names each signed file by its hash.

The statement is kept as canonical JSON (RFC 8785) beside the results; the detached signature covers its bytes. It
names the digest of the canonical ``results.json``, so that whoever signs it signs the results.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from auditor.core.errors import AuditorError
from auditor.core.findings import RiskCell
from auditor.core.results import Results
from auditor.report.decisions import level_words, likelihood_words
from auditor.report.describe import scenario_title
from auditor.report.fields import ROLES
from auditor.report.load import Evidence
from auditor.report.strings import Strings

SCHEMA = "auditor.signoff/1"
RESULTS = "results.json (canonical JSON, RFC 8785)"
BESIDE = ("decisions.json", "against.json", "release/report.html")


class Decision(StrEnum):
    """What a controller can decide (EDPB template for assessments, section 6)."""

    APPROVE = "approve"
    CONDITIONS = "approve-with-conditions"
    REJECT = "reject"
    REFER = "refer"


class SignOff(NamedTuple):
    """Who signs, as what, and what they say.

    Attributes:
        role: One of :data:`ROLES`.
        person: The name that is printed.
        decision: The controller's; None for the others.
        remark: Opinion, conditions or reasons in their own words; may be empty.
    """

    role: str
    person: str
    decision: Decision | None = None
    remark: str = ""


def require_sensible(signoff: SignOff) -> None:
    """Refuse a sign-off that leaves open what is said.

    Raises:
        AuditorError: for an unknown role, an empty name, or a decision that does not fit the role.
    """
    if signoff.role not in ROLES:
        raise AuditorError(f"{signoff.role!r} is no role.", remedy=f"Choose from {', '.join(ROLES)}.")
    if not signoff.person.strip():
        raise AuditorError("The name of the person is empty.", remedy="Say who signs with --name.")
    if (signoff.role == "controller") != (signoff.decision is not None):
        raise AuditorError(
            "A decision belongs to the controller's signature, and only to it.",
            remedy=f"Use --decision with --as controller: {', '.join(Decision)}.",
        )
    if signoff.decision == Decision.CONDITIONS and not signoff.remark.strip():
        raise AuditorError("The conditions are missing.", remedy="Write them with --remark.")
    if signoff.role == "dpo" and not signoff.remark.strip():
        raise AuditorError("The opinion is missing.", remedy="Write it with --remark; there is no default.")


def statement(
    run_dir: Path, evidence: Evidence, signoff: SignOff, *, words: Strings, at: datetime, certificate: str
) -> dict[str, Any]:
    """The statement as a JSON value.

    Args:
        run_dir: Where the files are that are named by hash.
        evidence: The results as read.
        signoff: Who says what.
        words: The sentences.
        at: When; the signer's own clock.
        certificate: SHA-256 of the signer's certificate (DER), in hex.
    """
    results = evidence.results
    return {
        "schema": SCHEMA,
        "audit": results.name,
        "run": results.run.id,
        "role": signoff.role,
        "person": signoff.person,
        "decision": signoff.decision.value if signoff.decision else None,
        "remark": signoff.remark,
        "says": said(signoff, words),
        "risk": residual_risk(results, words),
        "at": at.isoformat(timespec="seconds"),
        "certificate_sha256": certificate,
        "subjects": subjects(run_dir, results),
    }


def said(signoff: SignOff, words: Strings) -> str:
    """What the signature means, in words."""
    decision = words.plain(f"signing.decisions.{signoff.decision}") if signoff.decision else ""
    text = words.plain(f"signing.said.{signoff.role}", decision=decision)
    return f"{text} “{signoff.remark.strip()}”" if signoff.remark.strip() else text


def residual_risk(results: Results, words: Strings) -> str:
    """The highest computed risk, and whether a re-run measured what measures do."""
    cells = [cell for cell in results.risks if cell.likelihood is not None]
    top = max(cells, key=_weight, default=None)
    first = _risk(top, results, words) if top else words.plain("signing.risk_none")
    measured = [claim.sentence for claim in results.claims if claim.evidence_kind == "mitigation_delta"]
    return " ".join((first, *(measured or [words.plain("signing.residual")])))


def _weight(cell: RiskCell) -> tuple[int, int]:
    return (cell.likelihood or 0) + cell.severity, cell.severity


def _risk(cell: RiskCell, results: Results, words: Strings) -> str:
    return words.plain(
        "signing.risk",
        event=cell.event,
        actor=scenario_title(results, cell.actor),
        likelihood=likelihood_words(cell, words),
        severity=level_words(cell.severity, words),
    )


def subjects(run_dir: Path, results: Results) -> list[dict[str, str]]:
    """The signed files with their SHA-256, the results in canonical form."""
    return [{"name": RESULTS, "sha256": results.sha256}, *_files(run_dir)]


def _files(run_dir: Path) -> Iterator[dict[str, str]]:
    for name in BESIDE:
        path = run_dir / name
        if path.is_file():
            yield {"name": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
