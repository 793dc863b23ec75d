"""A claimed epsilon against the declared settings, before anything is run."""

from auditor.accounting.account import QUICK, account
from auditor.accounting.silos import worst_silo
from auditor.accounting.spec import Refused
from auditor.accounting.text import rounded
from auditor.config.document import AuditDocument
from auditor.targets.source import place


def claim_doubt(document: AuditDocument, *, records: int) -> str:
    """Why the claimed epsilon does not follow from the settings, in one sentence; empty where it may.

    Clients of equal size are assumed, as by ``auditor account``: smaller ones could only raise the figure.

    Args:
        document: Settings with their places.
        records: Training records.
    """
    federation, privacy = document.settings.federation, document.settings.privacy
    claimed = privacy.claimed_epsilon
    if claimed is None or privacy.mechanism == "none" or not privacy.noise_multiplier:
        return ""
    try:
        epsilon = account(worst_silo(federation, privacy, records=records).spec, QUICK)
    except Refused:
        return ""
    if claimed >= epsilon.lower:
        return ""
    return (
        f"{place(document, 'privacy.claimed_epsilon')} is {claimed:g}, which does not follow from the declared "
        f"settings: they give at least {rounded(epsilon.lower, up=False, digits=3)} at delta {epsilon.delta:g} for one "
        f"{epsilon.unit}; `auditor account` shows how"
    )
