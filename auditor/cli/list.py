"""``auditor list``: what is there to choose from."""

from enum import StrEnum

import typer


class Kind(StrEnum):
    """What can be listed."""

    ATTACKS = "attacks"
    SCENARIOS = "scenarios"
    CONTROLS = "controls"


class Format(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


def list_(
    kind: Kind = typer.Argument(..., metavar="KIND", help="attacks, scenarios or controls."),
    format_: Format = typer.Option(Format.TEXT, "--format", help="text or json"),
) -> None:
    """List the attacks, scenarios or control catalogues that are there."""
    rows = {Kind.ATTACKS: _attacks, Kind.SCENARIOS: _scenarios, Kind.CONTROLS: _controls}[kind]()
    if format_ is Format.JSON:
        import json

        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row['name']:<31} {row['title']}")
        if row.get("note"):
            typer.echo(f"{'':<32}{row['note']}")


def _attacks() -> list[dict[str, str]]:
    from auditor.attacks.registry import available

    return [
        {
            "name": name,
            "title": entry.attack.title if entry.attack else "unavailable",
            "note": entry.attack.paper if entry.attack else entry.error,
        }
        for name, entry in sorted(available().items())
    ]


def _scenarios() -> list[dict[str, str]]:
    from pathlib import Path

    from auditor.config.load import available_scenarios, load_scenario

    found = [load_scenario(name, relative_to=Path.cwd()) for name in available_scenarios()]
    return [
        {"name": s.name, "title": s.title, "note": f"{s.behaviour}; attacks: {', '.join(s.attacks)}"} for s in found
    ]


def _controls() -> list[dict[str, str]]:
    from auditor.controls.catalogue import available_catalogues, load_catalogue

    found = [load_catalogue(name) for name in available_catalogues()]
    return [
        {"name": c.name, "title": c.instrument, "note": f"{len(c.entries)} entries, as of {c.as_of}"} for c in found
    ]
