"""What a run folder was begun with, and whether this audit may go on in it."""

from pathlib import Path
from typing import Any

from auditor.config.document import AuditDocument
from auditor.core.errors import AuditorError
from auditor.engine.paths import Paths
from auditor.targets.target import Target

_NEEDED = ("id", "started", "protocol", "model_sha256", "splits", "environment", "paths", "settings")


def require_same_audit(lock: dict[str, Any], document: AuditDocument, target: Target, *, path: Path) -> None:
    """Refuse the folder of another audit, and a lock that this version cannot read.

    Args:
        lock: What ``audit.lock.yaml`` says.
        document, target: The audit that wants to go on.
        path: Of the lock, for the message.

    Raises:
        AuditorError: which says what the folder holds.
    """
    remedy = "Start in a new folder with --out."
    missing = [name for name in _NEEDED if name not in lock]
    if missing or _paths(lock["paths"]) is None:
        what = missing[0] if missing else "paths"
        by = f"auditor {lock['tool_version']}" if isinstance(lock.get("tool_version"), str) else "another version"
        raise AuditorError(
            f"{path} was written by {by} in a layout that this one cannot read ('{what}').", remedy=remedy
        )
    audit = lock["settings"].get("audit", {}) if isinstance(lock["settings"], dict) else {}
    theirs, ours = audit.get("name"), document.settings.audit.name
    if theirs != ours:
        raise AuditorError(f"{path.parent} holds a run of another audit ('{theirs}'; this is '{ours}').", remedy=remedy)
    splits = {split.name: split.sha256 for split in target.splits}
    if lock["model_sha256"] != target.model_sha256 and lock["splits"] != splits:
        raise AuditorError(
            f"{path.parent} holds a run on another target: neither its model nor its data are those of this audit.",
            remedy=remedy,
        )


def _paths(value: Any) -> Paths | None:
    try:
        return Paths.from_json(value)
    except (KeyError, TypeError, AttributeError):
        return None
