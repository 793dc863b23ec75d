"""Which attacks belong to a scenario, and with which parameters."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from auditor.attacks.base import Attack, AttackParams
from auditor.attacks.registry import AttackEntry
from auditor.config.document import AuditDocument
from auditor.config.scenario import Scenario
from auditor.core.errors import SettingsError


def chosen_attacks(document: AuditDocument, scenario: Scenario, installed: Mapping[str, AttackEntry]) -> list[str]:
    """Names of the attacks to plan in a scenario.

    Raises:
        SettingsError: where ``attacks`` names one that does not exist.
    """
    wanted = document.settings.attacks
    if wanted == "default":
        return list(dict.fromkeys(scenario.attacks))
    if wanted == "all":
        return sorted(set(installed) | set(scenario.attacks))
    require_installed(document, wanted, installed, setting="attacks")
    return list(dict.fromkeys(wanted))


def require_installed(
    document: AuditDocument, names: Iterable[str], installed: Mapping[str, AttackEntry], *, setting: str
) -> None:
    """Refuse names of attacks that do not exist.

    Raises:
        SettingsError: with every wrong name at once.
    """
    problems = [
        f"{document.where(setting)}: {setting}: there is no attack '{name}'{_suggestion(name, installed)}"
        for name in names
        if name not in installed
    ]
    if problems:
        raise SettingsError(problems)


def attack_parameters(document: AuditDocument, installed: Mapping[str, AttackEntry]) -> dict[str, AttackParams]:
    """Parameters of every attack that can be imported: defaults with the user's changes.

    Raises:
        SettingsError: with every wrong name or value at once.
    """
    given = document.settings.parameters
    problems = [
        f"{document.where(f'parameters.{name}')}: parameters: there is no attack '{name}'{_suggestion(name, installed)}"
        for name in given
        if name not in installed
    ]
    parameters: dict[str, AttackParams] = {}
    for name, entry in installed.items():
        if entry.attack is None:
            continue
        try:
            parameters[name] = entry.attack.Params.model_validate(given.get(name, {}))
        except ValidationError as error:
            problems += _problems(document, entry.attack, error)
    if problems:
        raise SettingsError(problems)
    return parameters


def _problems(document: AuditDocument, attack: type[Attack], error: ValidationError) -> list[str]:
    found = []
    for item in error.errors(include_input=False, include_url=False):
        path = ".".join(["parameters", attack.name, *map(str, item["loc"])])
        what = item["msg"][0].lower() + item["msg"][1:]
        if item["type"] == "extra_forbidden":
            what = "not a parameter" + _suggestion(str(item["loc"][-1]), attack.Params.model_fields)
        found.append(f"{document.where(path)}: {path}: {what}")
    return found


def _suggestion(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(sorted(known))}"
