"""One setting varied: the federation and the mechanism that a sweep plays at each of its values."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from auditor.config.problems import Problem
from auditor.config.rules import Blocks, rules
from auditor.config.scenario import Scenario
from auditor.config.settings import AuditSettings, FederationSettings, PrivacySettings, SweepSettings


def short_name(setting: str) -> str:
    """``batch_size`` for ``federation.local.batch_size``; ``clipping.norm`` keeps both words."""
    parts = setting.split(".")
    return ".".join(parts[-2:]) if parts[-1] == "norm" else parts[-1]


def declared_value(sweep: SweepSettings, settings: AuditSettings) -> float | None:
    """The value that the audit itself has; None where it has none, or where the sweep plays another mechanism."""
    if sweep.privacy is not None and sweep.setting.startswith("privacy."):
        return None
    value: Any = settings.model_dump()
    for part in sweep.setting.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else float(value)


def varied(sweep: SweepSettings, scenario: Scenario, settings: AuditSettings, *, value: float) -> Scenario:
    """The scenario that plays ``value``; it grants, attacks and limits what ``scenario`` does.

    Raises:
        ValueError: where the value does not fit the setting.
    """
    federation, privacy = _blocks(sweep, scenario, settings, value=value)
    return scenario.model_copy(
        update={
            "name": f"{scenario.name}@{short_name(sweep.setting)}={value:g}",
            "title": f"What if {sweep.setting} were {value:g}",
            "federation": federation.model_dump(),
            "privacy": privacy,
        }
    )


def _blocks(
    sweep: SweepSettings, scenario: Scenario | None, settings: AuditSettings, *, value: float
) -> tuple[FederationSettings, PrivacySettings]:
    federation = scenario.federation_of(settings.federation) if scenario else settings.federation
    privacy = sweep.privacy or (scenario.privacy_of(settings.privacy) if scenario else settings.privacy)
    block, *path = sweep.setting.split(".")
    blocks = {"federation": federation.model_dump(), "privacy": privacy.model_dump(exclude_none=True)}
    place = blocks[block]
    for part in path[:-1]:
        place = place.setdefault(part, {})
    place[path[-1]] = value
    if sweep.setting == "federation.partition.alpha":
        place |= {"scheme": "dirichlet", "column": None}  # a skew can be tried where records are dealt evenly
    return FederationSettings.model_validate(blocks["federation"]), PrivacySettings.model_validate(blocks["privacy"])


def sweep_rules(settings: AuditSettings) -> Iterator[Problem]:
    """What does not fit, at every value of every sweep."""
    seen: set[tuple[str, str]] = set()
    for index, sweep in enumerate(settings.sweeps):
        where = f"sweeps.{index}"
        if (sweep.setting, sweep.scenario) in seen:
            yield Problem(
                f"{where}.setting", f"'{sweep.setting}' is swept twice in '{sweep.scenario}'; write one entry with all"
            )
        seen.add((sweep.setting, sweep.scenario))
        for value in sweep.values:
            problem = _problem(sweep, settings, value=value)
            if problem:
                yield Problem(f"{where}.values", f"{value:g} does not fit: {problem}")
                break


def _problem(sweep: SweepSettings, settings: AuditSettings, *, value: float) -> str:
    try:
        federation, privacy = _blocks(sweep, None, settings, value=value)
    except ValidationError as error:
        return "; ".join(f"{details['msg'][0].lower()}{details['msg'][1:]}" for details in error.errors())
    broken = next(rules(Blocks(federation=federation, privacy=privacy)), None)
    if broken is None:
        return ""
    none_yet = settings.privacy.mechanism == "none" and sweep.privacy is None and broken.path.startswith("privacy.")
    remedy = "; give the mechanism to try as sweeps.privacy" if none_yet else ""
    return f"{broken.path} {broken.sentence}{remedy}"
