"""What people sign in a file beside a run: read safely, every problem at once.

Nothing here changes results. A signed statement has a named person, a reason and a last day.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from auditor.core.errors import AuditorError, SettingsError

SHORTEST_REASON = 40
"""Characters: enough for a reason, too many for 'ok'."""


def _written(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


Words = Annotated[str, AfterValidator(_written)]
Reason = Annotated[Words, Field(min_length=SHORTEST_REASON)]


class Signed(BaseModel):
    """What every signed statement holds.

    Attributes:
        reason: At least 40 characters.
        person, role: Who decided.
        date, expires: From when, and the last day on which it counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason
    person: Words
    role: Words
    date: datetime.date
    expires: datetime.date

    def why_void(self, today: datetime.date) -> str:
        """Why it does not count on this day; empty where it does."""
        if self.expires < self.date:
            return "it expires before it begins"
        if today < self.date:
            return f"it begins on {self.date}"
        return f"it expired on {self.expires}" if today > self.expires else ""


Kind = TypeVar("Kind", bound=Signed)


def load_signed(path: Path, kind: type[Kind], *, key: str) -> tuple[Kind, ...]:
    """The statements under ``key`` of a YAML file that holds nothing else.

    Raises:
        AuditorError: when the file cannot be read.
        SettingsError: naming every statement and field that does not fit.
    """
    value = read_yaml(path)
    if set(value) != {key} or not isinstance(value[key], list):
        raise AuditorError(f"{path.name}: is not a list under '{key}:'", remedy=f"Begin the file with '{key}:'.")
    problems: list[str] = []
    good = statements(value[key], kind, where=f"{path.name}: {key}", problems=problems)
    if problems:
        raise SettingsError(problems)
    return good


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        AuditorError: when the file cannot be read, or holds something else.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AuditorError(f"{path}: cannot be read: {error.strerror}.", remedy="Check the name of the file.") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise AuditorError(f"{path.name}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise AuditorError(f"{path.name}: is not a mapping", remedy="Begin the file with 'accepted:' or 'overrides:'.")
    return value


def statements(values: Sequence[Any], kind: type[Kind], *, where: str, problems: list[str]) -> tuple[Kind, ...]:
    """Statements that fit; what does not is added to ``problems``."""
    good: list[Kind] = []
    for number, statement in enumerate(values, start=1):
        try:
            good.append(kind.model_validate(statement))
        except ValidationError as error:
            problems += [f"{where} {number}: {_problem(each)}" for each in error.errors()]
    return tuple(good)


def _problem(error: object) -> str:
    assert isinstance(error, dict)
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] in ("too_short", "string_too_short"):
        least, given = error["ctx"]["min_length"], len(error["input"])
        return f"{where}: needs at least {least} characters and has {given}"
    return f"{where}: {error['msg']}" if where else str(error["msg"])
