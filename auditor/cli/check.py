"""``auditor check``: load everything, push one batch through, take one gradient, and say what was found."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from auditor.core.errors import AuditorError, SettingsError

if TYPE_CHECKING:
    from auditor.config.document import AuditDocument
    from auditor.targets.probe import Probe
    from auditor.targets.target import Target


class Format(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


def check(
    audit: Path = typer.Argument(..., metavar="AUDIT.YAML", help="The settings file."),
    format_: Format = typer.Option(Format.TEXT, "--format", help="text or json"),
) -> None:
    """Load settings, model, weights and data; try one batch and one gradient; say what was found."""
    from auditor.config.load import load_audit

    document = load_audit(audit)
    from auditor.targets.load import load_and_probe

    scenarios = _scenarios(document)
    target, seen = load_and_probe(document)
    from auditor.engine.claimed import claim_doubt

    doubt = claim_doubt(document, records=len(target.members))
    found = _found(target, seen, scenarios)
    found["warnings"] += [doubt] if doubt else []
    if format_ is Format.JSON:
        import json

        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    _print(found, audit)


def _scenarios(document: "AuditDocument") -> list[str]:
    """Names of the scenarios; scenarios, attacks and parameters that do not exist are problems with their place.

    Raises:
        SettingsError: All of them at once.
    """
    from auditor.attacks.registry import available
    from auditor.config.load import load_scenario
    from auditor.engine.selection import attack_parameters, chosen_attacks

    names: list[str] = []
    problems: list[str] = []
    installed = available()
    for index, name in enumerate(document.settings.scenarios):
        try:
            scenario = load_scenario(name, relative_to=document.folder)
            names.append(scenario.name)
            chosen_attacks(document, scenario, installed)
        except SettingsError as error:
            problems += error.problems
        except AuditorError as error:
            problems.append(f"{document.where(f'scenarios.{index}')}: {error}")
    try:
        attack_parameters(document, installed)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return names


def _found(target: "Target", seen: "Probe", scenarios: list[str]) -> dict[str, Any]:
    shape = target.model.shape
    return {
        "model": target.model_name,
        "layers": target.layers,
        "parameters": shape.parameters,
        "input_shape": list(shape.input_shape),
        "modality": shape.modality.value,
        "task": shape.task.value,
        "classes": shape.classes,
        "traits": sorted(shape.traits),
        "splits": [
            {"name": split.name, "records": split.records, "drawn_by": split.drawn_by} for split in target.splits
        ],
        "weights": "deployed weights" if target.weights is not None else "freshly initialised",
        "records_per_client": shape.records_per_client,
        "records_per_update": shape.records_per_update,
        "local_steps": shape.local_steps,
        "loss": seen.loss,
        "gradient_norm": seen.gradient_norm,
        "scenarios": scenarios,
        "facts": list(target.facts),
        "warnings": list(target.warnings),
    }


def _print(found: dict[str, Any], audit: Path) -> None:
    shape = " x ".join(map(str, found["input_shape"]))
    layers = ", ".join(f"{count} {name}" for name, count in found["layers"].items())
    unit = {"classification": "classes", "regression": "targets"}.get(found["task"], "token ids")
    rows = [
        ("model", f"{found['model']}: {found['parameters']:,} parameters ({layers}), {found['weights']}"),
        ("task", f"{found['task']} of {found['modality']} records {shape}, {found['classes']:,} {unit}"),
        ("traits", ", ".join(found["traits"]) or "none"),
        *[(split["name"], f"{split['records']:,} records, drawn by {split['drawn_by']}") for split in found["splits"]],
        (
            "one update",
            f"{found['records_per_update']:,} records of a client's {found['records_per_client']:,}, "
            f"{found['local_steps']:,} local steps",
        ),
        ("one batch", f"loss {found['loss']:.4g}, gradient norm {found['gradient_norm']:.4g}"),
        ("scenarios", ", ".join(found["scenarios"])),
    ]
    for name, text in rows:
        typer.echo(f"{name:<12}{text}")
    for fact in found["facts"]:
        typer.echo(f"{'note':<12}{fact}")
    for warning in found["warnings"]:
        typer.echo(f"{'warning':<12}{warning}")
    typer.echo(f"{audit} can be audited; `auditor plan {audit}` shows which attacks will run.")
