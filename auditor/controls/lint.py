"""Checks of the law packs: every entry well formed, dated, of known kinds, and looked at lately."""

import datetime
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from auditor.controls import catalogue as packs
from auditor.controls.catalogue import Catalogue, Entry, Kind, NotLaw
from auditor.controls.dates import UNCLEAR, leading_date
from auditor.controls.evidence import FAMILIES, WORDS
from auditor.core.errors import AuditorError

LONGEST_PARAPHRASE = 30
"""Words: an own paraphrase stays a pointer and never a copy of the text."""

MAX_AGE = datetime.timedelta(days=365)
_BASES = ("primary-copy", "secondary", "memory")
AUTHORS_WORDS = re.compile(
    r"\b(must not print|never (cite|prefill|inferred)|design anchor|from memory|not checked|only a proposal|hook\b"
    r"|argues (for|against)|reason to offer|our report|secondary sources|catalogues|closest regulator"
    r"|report each|provide empty|triage)\b",
    re.IGNORECASE,
)
"""What authors of a pack write to themselves: it belongs into ``internal`` and on no page."""

_DATED = frozenset({"eu_ai_act"})
"""Packs in which every entry must say from when it applies."""


def lint(
    folder: Path = packs.FOLDER, *, today: datetime.date, max_age: datetime.timedelta = MAX_AGE
) -> tuple[str, ...]:
    """Problems of all packs in ``folder``, each ``file: entry: sentence``; empty where there are none."""
    problems: list[str] = []
    catalogues: list[Catalogue] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            text = path.read_text(encoding="utf-8")
            if path.stem == packs.NOT_LAW_FILE:
                entries = packs.parse_not_law(text)
                problems += [f"{path.name}: {p}" for p in _not_law(entries, today=today, max_age=max_age)]
            else:
                catalogues.append(packs.parse_catalogue(text, name=path.stem))
        except AuditorError as error:
            problems.append(error.what)
    kinds = {kind: words for catalogue in catalogues for kind, words in catalogue.evidence_kinds.items()}
    problems += _vocabulary(kinds)
    for found in catalogues:
        problems += [f"{found.name}.yaml: {p}" for p in _catalogue(found, kinds, today=today, max_age=max_age)]
    if not catalogues:
        problems.append(f"{folder}: no catalogue is there")
    return tuple(problems)


def _catalogue(
    found: Catalogue, kinds: Mapping[str, str], *, today: datetime.date, max_age: datetime.timedelta
) -> Iterator[str]:
    for field in ("title", "instrument", "as_of", "verification", "licence_note"):
        if not found.meta.get(field):
            yield f"meta: has no {field}"
    yield from _day("meta", "as_of", found.as_of, today)
    yield from _dates("meta", found.applies_from)
    if not found.entries:
        yield "has no entries"
    yield from _repeated(entry.id for entry in found.entries)
    for entry in found.entries:
        yield from _entry(entry, kinds, today=today, max_age=max_age)
        if found.name in _DATED and not entry.applies_from:
            yield f"{entry.id}: does not say from when it applies"


def _entry(
    entry: Entry, kinds: Mapping[str, str], *, today: datetime.date, max_age: datetime.timedelta
) -> Iterator[str]:
    for kind in entry.evidence_kinds:
        if kind not in kinds:
            yield f"{entry.id}: {kind!r} is not an evidence kind of the shared vocabulary"
    for kind in entry.requires or ():
        if kind not in entry.evidence_kinds:
            yield f"{entry.id}: requires {kind!r}, which is not among its evidence kinds"
    words = len(entry.paraphrase.split())
    if words > LONGEST_PARAPHRASE:
        yield f"{entry.id}: the paraphrase has {words} words; at most {LONGEST_PARAPHRASE} are allowed"
    if not entry.source_basis.startswith(_BASES):
        yield f"{entry.id}: source_basis {entry.source_basis!r} does not begin with one of {', '.join(_BASES)}"
    if entry.kind == Kind.DRAFT_GUIDANCE and "draft" not in _said(entry) and "consultation" not in _said(entry):
        yield f"{entry.id}: is a draft, but neither title, source nor note says so"
    for printed in (entry.title, entry.source_ref, entry.note, *entry.outside_reach):
        if found := AUTHORS_WORDS.search(printed):
            yield f"{entry.id}: {found[0]!r} is a note of the authors; it belongs into 'internal'"
    yield from _dates(entry.id, entry.applies_from)
    yield from _fresh(entry.id, {"as_of": entry.as_of, "checked": entry.checked}, today=today, max_age=max_age)


def _said(entry: Entry) -> str:
    return f"{entry.title} {entry.source_ref} {entry.note}".lower()


def _not_law(entries: tuple[NotLaw, ...], *, today: datetime.date, max_age: datetime.timedelta) -> Iterator[str]:
    yield from _repeated(entry.id for entry in entries)
    for entry in entries:
        if not entry.patterns:
            yield f"{entry.id}: has no pattern that would find it in a text"
        for pattern in entry.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                yield f"{entry.id}: pattern {pattern!r} cannot be read: {error}"
        yield from _fresh(entry.id, {"as_of": entry.as_of}, today=today, max_age=max_age)


def _vocabulary(kinds: Mapping[str, str]) -> list[str]:
    """Every kind has a meaning, a family and plain words; nothing else has."""
    problems = [f"evidence kind {kind!r}: no family" for kind in kinds if kind not in FAMILIES]
    problems += [f"evidence kind {kind!r}: no plain words" for kind in kinds if kind not in WORDS]
    unknown = sorted((FAMILIES.keys() | WORDS.keys()) - kinds.keys())
    return problems + [f"evidence kind {kind!r}: is not in the vocabulary" for kind in unknown]


def _dates(where: str, applies_from: tuple[str, ...]) -> Iterator[str]:
    for text in applies_from:
        try:
            known = leading_date(text) is not None or text.startswith(UNCLEAR)
        except ValueError:
            known = False
        if not known:
            yield f"{where}: applies_from {text!r} begins neither with a date nor with '{UNCLEAR}'"


def _fresh(where: str, days: Mapping[str, str], *, today: datetime.date, max_age: datetime.timedelta) -> Iterator[str]:
    given = {field: text for field, text in days.items() if text}
    problems = [problem for field, text in given.items() for problem in _day(where, field, text, today)]
    yield from problems
    if not problems and given:
        latest = datetime.date.fromisoformat(max(given.values()))
        if today - latest > max_age:
            yield f"{where}: is stale: last checked on {latest}, {(today - latest).days} days ago"


def _day(where: str, field: str, text: str, today: datetime.date) -> Iterator[str]:
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        yield f"{where}: {field} {text!r} is not a date such as 2026-11-20"
        return
    if day > today:
        yield f"{where}: {field} {text} lies in the future"


def _repeated(ids: Iterator[str] | list[str]) -> Iterator[str]:
    yield from (f"{entry}: is there {times} times" for entry, times in Counter(ids).items() if times > 1)
