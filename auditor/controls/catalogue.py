"""Law packs: provisions and controls as data, each with its date, its kind and the basis of its wording."""

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auditor.core.errors import AuditorError

FOLDER = Path(__file__).parent / "catalogues"
VOCABULARY_FILE = "gdpr"
NOT_LAW_FILE = "not_law"
_NOT_PACKS = frozenset({NOT_LAW_FILE})

Text = Annotated[str, Field(min_length=1)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Asks(StrEnum):
    """What a provision asks for, and so what evidence can say about it."""

    ACHIEVE = "achieve"
    ASSESS = "assess"
    RECORD = "record"
    TRIAGE = "triage"
    CONDUCT = "conduct"
    CONSULT = "consult"


class Where(StrEnum):
    """What a provision presupposes that only people can declare."""

    SPECIAL_CATEGORY = "special-category"
    GENERAL_PURPOSE = "general-purpose"


class Kind(StrEnum):
    """How much a text binds."""

    BINDING = "binding"
    RECITAL = "recital"
    GUIDANCE = "guidance"
    DRAFT_GUIDANCE = "draft-guidance"
    CLAUSE = "clause"
    CONTROL = "control"
    VOLUNTARY = "voluntary"
    TECHNIQUE = "technique"


class Entry(_Data):
    """One provision or control.

    Attributes:
        paraphrase: Own words; statutory and standard wording is not reproduced.
        asks: Whether results count or the testing itself.
        evidence_kinds: What evidence speaks to it, from the shared vocabulary.
        requires: The kinds without which evidence does not support; all when None.
        outside_reach: What must stay with people.
        source_basis: How the wording was checked.
        only_where: What must have been declared for it to apply at all.
        applies_from: Dates from which it applies, each starting with an ISO date, or ``unclear: ...``.
        as_of: The date for which the statement holds; ``checked``: when somebody last looked, where later.
        note: What readers need beside the title; ``internal``: what the authors of the pack note for themselves.
    """

    id: Text
    title: Text
    kind: Annotated[Kind, Field(strict=False)]
    asks: Annotated[Asks, Field(strict=False)]
    relevance: str = ""
    paraphrase: Text
    evidence_kinds: Annotated[tuple[Text, ...], Field(strict=False)]
    requires: Annotated[tuple[Text, ...] | None, Field(strict=False)] = None
    outside_reach: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    source_ref: Text
    source_basis: Text
    only_where: Annotated[Where | None, Field(strict=False)] = None
    applies_from: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    as_of: Text
    checked: str = ""
    note: str = ""
    internal: str = ""

    @property
    def last_checked(self) -> str:
        """The later of ``as_of`` and ``checked`` (ISO dates compare as text)."""
        return max(self.as_of, self.checked)


class Catalogue(_Data):
    """One pack.

    Attributes:
        name: File stem, e.g. ``gdpr``.
        meta: Instrument, date, verification and licence note, as in the file.
    """

    name: str
    meta: dict[str, Any]
    evidence_kinds: dict[str, str] = {}
    entries: Annotated[tuple[Entry, ...], Field(strict=False)]

    @property
    def title(self) -> str:
        """Short name, e.g. ``EU AI Act``."""
        return str(self.meta.get("title", self.name))

    @property
    def instrument(self) -> str:
        """The full name of the text."""
        return str(self.meta.get("instrument", self.title))

    @property
    def as_of(self) -> str:
        """The day for which the pack holds."""
        return str(self.meta.get("as_of", ""))

    @property
    def applies_from(self) -> tuple[str, ...]:
        """Dates that hold for every binding entry without dates of its own."""
        return tuple(self.meta.get("applies_from", ()))

    @property
    def summary(self) -> dict[str, str]:
        """What the report prints about the pack itself."""
        fields = (
            "title",
            "instrument",
            "as_of",
            "verification",
            "licence_note",
            "legal_status",
            "consolidated_text",
            "scope",
            "note",
        )
        return {"name": self.name} | {field: str(self.meta[field]) for field in fields if field in self.meta}


class NotLaw(_Data):
    """A claim that circulates and is not law."""

    id: Text
    claim: Text
    status: Text
    nearest_provision: Text
    patterns: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    source_basis: Text
    as_of: Text


def available_catalogues() -> tuple[str, ...]:
    """Names of the packs that are there."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem not in _NOT_PACKS))


@cache
def load_catalogue(name: str) -> Catalogue:
    """One pack by name.

    Raises:
        AuditorError: when there is no such pack, or it is malformed.
    """
    if name not in available_catalogues():
        raise AuditorError(
            f"report.controls: there is no control catalogue {name!r}.",
            remedy=f"Available are: {', '.join(available_catalogues())}.",
        )
    path = FOLDER / f"{name}.yaml"
    return parse_catalogue(path.read_text(encoding="utf-8"), name=name)


def parse_catalogue(text: str, *, name: str) -> Catalogue:
    """A pack from YAML text.

    Raises:
        AuditorError: naming the first entry and field that do not fit.
    """
    value = _mapping(text, name)
    try:
        return Catalogue.model_validate({"name": name, **value})
    except ValidationError as error:
        raise AuditorError(f"{name}.yaml: {_first(error, value)}") from None


@cache
def vocabulary() -> dict[str, str]:
    """The evidence kinds that all packs share, with their meaning."""
    return load_catalogue(VOCABULARY_FILE).evidence_kinds


@cache
def not_law() -> tuple[NotLaw, ...]:
    """Claims that are never shown as requirements."""
    path = FOLDER / f"{NOT_LAW_FILE}.yaml"
    return parse_not_law(path.read_text(encoding="utf-8"))


def parse_not_law(text: str) -> tuple[NotLaw, ...]:
    """The list of claims that are not law, from YAML text.

    Raises:
        AuditorError: naming the first entry and field that do not fit.
    """
    value = _mapping(text, NOT_LAW_FILE)
    try:
        return tuple(NotLaw.model_validate(entry) for entry in value.get("entries") or ())
    except ValidationError as error:
        raise AuditorError(f"{NOT_LAW_FILE}.yaml: {_first(error, value)}") from None


def _mapping(text: str, name: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise AuditorError(f"{name}.yaml: cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise AuditorError(f"{name}.yaml: is not a mapping with 'meta' and 'entries'")
    return value


def _first(error: ValidationError, value: dict[str, Any]) -> str:
    """The first problem, with the id of its entry where there is one."""
    problem = error.errors()[0]
    place = problem["loc"]
    parts = [str(part) for part in place]
    if len(place) > 1 and place[0] == "entries" and isinstance(place[1], int):
        entry = (value.get("entries") or [])[place[1]]
        parts[1] = str(entry.get("id", place[1])) if isinstance(entry, dict) else parts[1]
    return f"{'.'.join(parts)}: {problem['msg']}"
