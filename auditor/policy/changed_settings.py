"""Settings that differ between two runs, apart from those that only the tool has added."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from auditor.config.settings import AuditSettings
from auditor.core.base import Frozen


class SettingChange(Frozen):
    """One setting that differs; a missing one is None."""

    path: str
    before: str | None
    after: str | None


def setting_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[SettingChange, ...]:
    """What differs, by path; a setting that one run's tool did not know is left out where it has its default."""
    old, new = dict(_flat(before)), dict(_flat(after))
    unknown = set(added_by_tool(before, after))
    return tuple(
        SettingChange(path=path, before=old.get(path), after=new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path) and path not in unknown
    )


def added_by_tool(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings that only one run holds, at the default that the other would have had: nobody changed them.

    A run records every setting, also those that its file leaves out; one that is not there at all was not known to
    the version that made the run.
    """
    return tuple(sorted({*_defaults_beyond(before, after), *_defaults_beyond(after, before)}))


def _defaults_beyond(known: Mapping[str, Any], value: Mapping[str, Any]) -> Iterator[str]:
    """Paths of ``value`` that ``known`` lacks and that the defaults give again where they are taken away."""
    common = _common(value, known)
    missing = dict(_flat(value)).keys() - dict(_flat(common)).keys()
    if not missing:
        return
    try:
        again = AuditSettings.model_validate(common).model_dump(mode="json")
    except ValidationError:
        return
    defaults = dict(_flat(again))
    yield from (path for path, text in _flat(value) if path in missing and defaults.get(path) == text)


def _common(value: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """``value`` without the settings that ``known`` does not have."""
    return {
        key: _common(inner, known[key]) if isinstance(inner, Mapping) and isinstance(known[key], Mapping) else inner
        for key, inner in value.items()
        if key in known
    }


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif value is not None:
        yield path, str(value)
