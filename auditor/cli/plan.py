"""``auditor plan``: what an audit would do, and what not and why."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from auditor.core.errors import AuditorError

if TYPE_CHECKING:
    from auditor.engine.plan import Plan, PlannedAttack


class Format(StrEnum):
    """How the plan is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def plan(
    audit: Path = typer.Argument(..., metavar="AUDIT.YAML", help="The settings file."),
    format_: Format = typer.Option(Format.TEXT, "--format", help="text, json or markdown."),
    save: Path | None = typer.Option(None, "--save", help="Also write it to a file; `auditor run --plan` keeps to it."),
) -> None:
    """Print every attack as run, not applicable or not run, each with its reason and estimated time."""
    from auditor.config.load import load_audit

    document = load_audit(audit)
    if save is not None and save.is_dir():
        raise AuditorError(f"--save: {save} is a folder.", remedy=f"Name a file: {save / 'plan.json'}.")
    from auditor.engine.run import plan_audit

    prospect = plan_audit(document)
    made = prospect.plan
    if save is not None:
        _save(made, save)
    match format_:
        case Format.JSON:
            import json

            typer.echo(json.dumps(made.to_json(), indent=2, ensure_ascii=False))
        case Format.MARKDOWN:
            typer.echo("\n".join(_markdown(made)))
        case Format.TEXT:
            typer.echo("\n".join(_text(made)))
    for doubt in prospect.doubts:
        typer.echo(f"auditor: {doubt}.", err=True)


def _save(made: "Plan", path: Path) -> None:
    """Fix adversaries, parameters, limits and declared settings, with the time, before anything is attacked."""
    import json
    from datetime import UTC, datetime

    from auditor.store.atomic import make_folder, write_atomic

    value = {"planned": datetime.now(UTC).isoformat(timespec="seconds"), **made.to_json()}
    make_folder(path.parent)
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def _text(made: "Plan") -> list[str]:
    lines = []
    for scenario in made.played:
        lines += [f"{scenario.name}: {scenario.title}"]
        lines += [
            f"  withheld: {grant.value}, because {why}"
            for grant, why in sorted(made.grants[scenario.name].withheld.items())
        ]
        rows = [row for row in made.attacks if row.scenario == scenario.name]
        lines += [f"  {_name(row):<42}{_verdict(row)}" for row in rows] or ["  as declared: the audit itself answers"]
        lines += [""]
    return [*lines, *_totals(made)]


def _markdown(made: "Plan") -> list[str]:
    lines = ["| Scenario | Attack | Plan |", "|---|---|---|"]
    lines += [f"| {row.scenario} | {_name(row)} | {_verdict(row)} |" for row in made.attacks]
    return [*lines, "", *_totals(made)]


def _name(row: "PlannedAttack") -> str:
    return f"{row.attack} @ {row.state}" if row.state else row.attack


def _verdict(row: "PlannedAttack") -> str:
    if row.runs:
        what = f"{row.updates} updates" if row.updates > 1 else "1 observation"
        models = f", {row.references} reference models" if row.references else ""
        return f"run: {what}{models}, about {duration(row.seconds or 0.0)}"
    from auditor.policy.words import clauses

    words = {"not_applicable": "not applicable because", "not_run": "not run because"}[row.status]
    return f"{words} {clauses(row.reasons)}"


def _totals(made: "Plan") -> list[str]:
    models = made.reference_models
    lines = [_counted(made), f"About {duration(made.seconds)} of one core in all."]
    if models:
        lines += [
            f"{models} reference models, about {duration(models * made.reference_seconds)}, shared by all attacks."
        ]
    for audit in made.audits:
        tried = f"{audit.canaries:,} canaries, about {duration(audit.seconds)}"
        what = tried if audit.runs else f"none, because {audit.reason.rstrip('.')}"
        lines += [f"Audit of epsilon ({audit.name}): {what}."]
    lines += [
        f"Memory: training holds about {_size(made.training_bytes)} in each worker, beside torch and activations."
    ]
    fixed = f"Protocol {made.protocol_sha256[:12]}: adversaries, parameters, limits and declared settings as fixed now."
    return [*lines, fixed]


def _counted(made: "Plan") -> str:
    """What is planned, and apart from it what does not apply and what is not run."""
    from auditor.policy.words import count

    planned, unfit, left = made.counts.values()
    parts = [f"{count(planned, 'attack run')} planned"]
    parts += [f"{unfit:,} not applicable"] if unfit else []
    parts += [f"{left:,} not run"] if left else []
    tail = ", each of them with its reason above" if unfit or left else ""
    tried = sum(row.runs for row in made.attacks if row.what_if)
    swept = f" Sweeps add {count(tried, 'run')}." if tried else ""
    return f"{'; '.join(parts)}{tail}.{swept}"


def _size(count: int) -> str:
    """Bytes in words, e.g. ``40 MiB`` or ``1.5 GiB``."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MiB"


def duration(seconds: float) -> str:
    """Seconds in words, e.g. ``40 s`` or ``3 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
