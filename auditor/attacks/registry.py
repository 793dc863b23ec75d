"""The attacks that are installed, built-in and third-party alike, by entry point."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from auditor.attacks.base import Attack

GROUP = "auditor.attacks"


@dataclass(frozen=True)
class AttackEntry:
    """One registered attack.

    Attributes:
        name: ``family/technique``; for an attack that cannot be imported, its entry point's name.
        attack: The class, or None where it cannot be imported.
        error: Why not, or ``""``.
    """

    name: str
    attack: type[Attack] | None
    error: str = ""


@lru_cache(maxsize=1)
def available() -> dict[str, AttackEntry]:
    """All registered attacks by name, sorted; the unavailable ones with their error."""
    entries = [_load(point) for point in entry_points(group=GROUP)]
    return {entry.name: entry for entry in sorted(entries, key=lambda entry: entry.name)}


def _load(point: EntryPoint) -> AttackEntry:
    fallback = point.name.replace(".", "/", 1)
    try:
        attack = cast("type[Attack]", point.load())
        missing = [part for part in _PARTS if not hasattr(attack, part)]
    except Exception as error:  # a third party's import may fail in any way; it is listed, not hidden
        return AttackEntry(fallback, None, f"{type(error).__name__}: {error}".splitlines()[0])
    if missing:
        return AttackEntry(fallback, None, f"{point.value} is not an attack: it lacks {', '.join(missing)}")
    return AttackEntry(attack.name, attack)


_PARTS = (
    "name",
    "title",
    "paper",
    "needs",
    "revision",
    "observes",
    "attack_class",
    "Params",
    "unmet",
    "cost",
    "run",
)
