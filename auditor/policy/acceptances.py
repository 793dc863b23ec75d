"""Accepted risks: findings that people decided to live with, until a day. An expired acceptance counts for nothing."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from auditor.core.findings import Finding, FindingStatus
from auditor.policy.signed import Signed, Words, load_signed


class Acceptance(Signed):
    """One accepted finding, by its id."""

    finding: Words


class Accepted(NamedTuple):
    """Findings apart by what people decided.

    Attributes:
        counted: Findings that still count for a gate.
        accepted: Findings that a valid acceptance covers.
        void: Acceptances that count for nothing, each with the reason.
    """

    counted: tuple[Finding, ...]
    accepted: tuple[tuple[Finding, Acceptance], ...]
    void: tuple[str, ...]


def load_acceptances(path: Path) -> tuple[Acceptance, ...]:
    """Read ``accepted: [{finding, reason, person, role, date, expires}, ...]``.

    Raises:
        AuditorError: when the file cannot be read, or a statement does not fit.
    """
    return load_signed(path, Acceptance, key="accepted")


def split(findings: Sequence[Finding], acceptances: Sequence[Acceptance], *, today: datetime.date) -> Accepted:
    """Which findings count today.

    Only a finding that exceeds its limit or is inconclusive can be accepted; the rest asks for no decision.
    """
    valid: dict[str, Acceptance] = {}
    void = []
    open_ids = {f.id for f in findings if f.status in {FindingStatus.EXCEEDS, FindingStatus.INCONCLUSIVE}}
    for acceptance in acceptances:
        why = acceptance.why_void(today)
        if not why and acceptance.finding not in open_ids:
            why = "no open finding of this run has that id"
        if why:
            void.append(f"{acceptance.finding}: {why}")
        else:
            valid[acceptance.finding] = acceptance
    return Accepted(
        counted=tuple(finding for finding in findings if finding.id not in valid),
        accepted=tuple((finding, valid[finding.id]) for finding in findings if finding.id in valid),
        void=tuple(void),
    )
