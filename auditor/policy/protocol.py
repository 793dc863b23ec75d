"""What is fixed before a run: adversaries, attack parameters, limits and what was declared, as one digest.

EDPB Opinion 28/2024 par. 55 and Regulation (EU) 2024/1689 Art. 9(8) ask for metrics and limits that were set
beforehand. The plan stores the digest; a run whose own digest differs is refused.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from auditor.core.canonical import digest
from auditor.core.errors import AuditorError
from auditor.core.findings import Threshold
from auditor.core.results import Results
from auditor.policy import rule

DECLARED = (
    "audit.seed",
    "audit.release_context",
    "audit.organisation.data_category",
    "audit.organisation.membership_is_sensitive",
    "audit.organisation.vulnerable_people",
    "audit.organisation.subjects",
    "federation",
    "privacy",
    "epsilon_audit",
    "trainings",
)
"""Settings that a verdict rests on, beside the adversaries: changing one afterwards would change what was tested."""

_TOLD = 4
_NOTHING = object()


class Adversary(Protocol):
    """The part of a scenario that decides what is tested."""

    @property
    def name(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def behaviour(self) -> str: ...
    @property
    def thresholds(self) -> tuple[Threshold, ...]: ...
    @property
    def access(self) -> int: ...
    @property
    def knowledge(self) -> int: ...


def protocol_digest(
    scenarios: Sequence[Adversary],
    parameters: Mapping[str, Any],
    thresholds: Mapping[str, Sequence[Threshold]] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
) -> str:
    """SHA-256 of the canonical JSON (RFC 8785) of :func:`protocol`; arguments and errors are the same."""
    return digest(protocol(scenarios, parameters, thresholds, settings=settings))


def declared(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values of :data:`DECLARED` in settings as JSON, by name; None where the settings lack one."""
    found = {}
    for name in DECLARED:
        value: Any = settings
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        found[name] = _plain(value)
    return found


def protocol(
    scenarios: Sequence[Adversary],
    parameters: Mapping[str, Any],
    thresholds: Mapping[str, Sequence[Threshold]] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is tested and against which limits, as a JSON value.

    The order of scenarios, of grants and of parameter names does not matter; titles and descriptions do not
    enter, for they change no result.

    Args:
        scenarios: Adversaries (settings or summaries), each with its grants and, where it has them, attacks.
        parameters: Attack name to its parameters as they will be used.
        thresholds: Scenario name to its limits; those of the scenarios when left out.
        settings: Of the audit, as JSON with defaults filled in: those of :data:`DECLARED` are fixed too. Left out,
            only the adversaries are: what two runs with different settings must share to be compared.

    Raises:
        ValueError: for two scenarios of one name, or a number that is not finite.
    """
    names = [scenario.name for scenario in scenarios]
    if len(set(names)) != len(names):
        raise ValueError(f"two scenarios have one name: {sorted(names)}")
    limits = {scenario.name: scenario.thresholds for scenario in scenarios} if thresholds is None else thresholds
    return {
        "scenarios": {scenario.name: _adversary(scenario) for scenario in scenarios},
        "parameters": {attack: _plain(values) for attack, values in parameters.items()},
        "thresholds": {name: _limits(values) for name, values in limits.items()},
        "risk_rule": rule.as_json(),
        **({} if settings is None else {"declared": declared(settings)}),
    }


def changed_since_plan(planned: Mapping[str, Any], results: Results) -> list[str]:
    """What of a run is not as its ``plan.json`` fixed it: the digest, and the limits that findings are judged by."""
    fixed = planned.get("protocol") or {}
    found = []
    if planned.get("protocol_sha256") != results.run.protocol_sha256 or digest(fixed) != results.run.protocol_sha256:
        found.append("the protocol digest of the results is not the one that was planned")
    limits = fixed.get("thresholds", {})
    for scenario in results.scenarios:
        if limits.get(scenario.name) != _limits(scenario.thresholds):
            found.append(f"the limits of {scenario.name} are not the planned ones")
    if "declared" in fixed:
        now = {"declared": declared(results.settings)}
        found += [f"{line} in the results" for line in changes({"declared": fixed["declared"]}, now)]
    return found


def planned_protocol(path: Path) -> dict[str, Any]:
    """The protocol in a plan that was saved before the run.

    Raises:
        AuditorError: where the file is no plan, or its protocol is not what its digest says.
    """
    try:
        value = json.loads(path.read_bytes())
        planned: dict[str, Any] = value["protocol"]
        whole = digest(planned) == str(value["protocol_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AuditorError(f"{path} is no plan: {error}", remedy="Write one: auditor plan AUDIT --save FILE.") from None
    if not whole:
        raise AuditorError(f"{path} was altered: its digest is not that of its protocol.", remedy="Plan anew.")
    return planned


def require_unchanged(planned: Mapping[str, Any], found: Mapping[str, Any], *, where: str, remedy: str) -> None:
    """Refuse a run whose protocol is not the one that was fixed.

    Args:
        planned, found: Protocols: as fixed, and of the settings as they are now.
        where: The file that holds the first, for the message.
        remedy: What else to do than to put the values back.

    Raises:
        AuditorError: when they differ, with each value that does.
    """
    before, now = digest(planned), digest(found)
    if before == now:
        return
    lines = list(changes(planned, found))
    more = f"; and {len(lines) - _TOLD:,} more" if len(lines) > _TOLD else ""
    raise AuditorError(
        f"{where} fixed other values before the run: {'; '.join(lines[:_TOLD])}{more} "
        f"(protocol {before[:12]} fixed, {now[:12]} now).",
        remedy=f"Put the value back, or {remedy}",
    )


def changes(planned: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Each value that two protocols do not share: its name as in the settings, as fixed and as it is now."""
    for path, one, other in _changed(planned, found, ()):
        name = ".".join(path[1:] if path[:1] == ("declared",) and len(path) > 1 else path)
        yield f"{name}: {_said(one)} was fixed, {_said(other)} now"


def _changed(one: Any, other: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted(one.keys() | other.keys()):
            yield from _changed(one.get(key, _NOTHING), other.get(key, _NOTHING), (*path, key))
    elif one is _NOTHING or other is _NOTHING or digest(one) != digest(other):
        yield path, one, other


def _said(value: Any) -> str:
    if value is None or value is _NOTHING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _adversary(scenario: Adversary) -> dict[str, Any]:
    return {
        "actor": scenario.actor,
        "behaviour": scenario.behaviour,
        "grants": sorted(map(str, getattr(scenario, "grants", ()))),
        "attacks": sorted(getattr(scenario, "attacks", ())),
        "control": getattr(scenario, "control", False),
        "federation": _plain(getattr(scenario, "federation", {})),
        "privacy": _plain(getattr(scenario, "privacy", None)),
        "access": scenario.access,
        "knowledge": scenario.knowledge,
    }


def _limits(thresholds: Sequence[Threshold]) -> list[dict[str, Any]]:
    rows = [
        {"metric": threshold.metric, "limit": threshold.limit}
        | ({"beyond_guess": True} if threshold.beyond_guess else {})
        for threshold in thresholds
    ]
    return sorted(rows, key=lambda row: (str(row["metric"]), row["limit"]))


def _plain(values: Any) -> Any:
    """Parameters as a JSON value: models dumped, sets sorted."""
    if isinstance(values, BaseModel):
        return _plain(json.loads(values.model_dump_json()))
    if isinstance(values, Mapping):
        return {str(key): _plain(value) for key, value in values.items()}
    if isinstance(values, set | frozenset):
        return sorted((_plain(value) for value in values), key=str)
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return values
