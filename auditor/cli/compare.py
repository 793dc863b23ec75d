"""``auditor compare``: two runs side by side."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from auditor.core.errors import ExitCode

if TYPE_CHECKING:
    from auditor.core.findings import FindingStatus
    from auditor.policy.compare import Comparison


class Format(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def compare(
    old: Path = typer.Argument(..., metavar="OLD", help="The earlier run: its folder, or its evidence.json."),
    new: Path = typer.Argument(..., metavar="NEW", help="The later run: its folder, or its evidence.json."),
    format_: Format = typer.Option(Format.TEXT, "--format", help="text, json or markdown."),
) -> None:
    """Say what changed from one run to the next; exit with 1 where a figure got clearly worse, 3 if incomparable."""
    from auditor.policy.compare import compare as compared
    from auditor.report.load import parse_results, results_of

    before, after = (parse_results(results_of(path), str(path)) for path in (old, new))
    found = compared(before, after)
    match format_:
        case Format.JSON:
            typer.echo(found.model_dump_json(indent=2))
        case Format.MARKDOWN:
            typer.echo("\n".join(_markdown(found)))
        case Format.TEXT:
            typer.echo("\n".join(_text(found)))
    if not found.comparable:
        raise typer.Exit(ExitCode.INCOMPLETE)
    if found.regressions:
        raise typer.Exit(ExitCode.FINDING)


def _lines(found: "Comparison") -> list[str]:
    """What stands around the table."""
    lines = [
        f"Run {found.before} (results {found.before_sha256[:12]}), then {found.after} ({found.after_sha256[:12]})."
    ]
    lines += [f"Not comparable: {reason}." for reason in found.reasons]
    lines += [f"Keep in mind: {caution}." for caution in found.cautions]
    lines += [f"Changed: {trigger}." for trigger in found.triggers]
    lines += [f"Setting {c.path}: {c.before or 'not set'}, now {c.after or 'not set'}." for c in found.settings]
    return [*lines, found.epsilon]


def _rows(found: "Comparison") -> list[tuple[str, str, str, str]]:
    """Finding, statuses and change; those without a clear change are counted, not listed."""
    return [
        (
            change.id,
            _status(change.before),
            _status(change.after),
            f"WORSE: {change.sentence}" if change.worse else change.sentence,
        )
        for change in found.findings
        if change.direction not in ("unclear", "incomparable")
    ]


def _status(status: "FindingStatus | None") -> str:
    return "-" if status is None else status.value.replace("_", " ")


def _closing(found: "Comparison") -> str:
    unclear = sum(change.direction == "unclear" for change in found.findings)
    if not found.comparable:
        again = f" To finish a run, give its command again: {'; '.join(found.unfinished)}." if found.unfinished else ""
        return f"No figure was compared, for the reasons above.{again}"
    plain = f"{unclear} findings show no clear change (no figure, or intervals that overlap)"
    return f"{plain}; {len(found.regressions)} got worse."


def _text(found: "Comparison") -> list[str]:
    rows = _rows(found)
    width = max((len(row[0]) for row in rows), default=0)
    table = [f"  {name:<{width}}  {old:<14} {new:<14} {change}" for name, old, new, change in rows]
    return [*_lines(found), *table, _closing(found)]


def _markdown(found: "Comparison") -> list[str]:
    from auditor.report.exports.card import escaped

    lines = [f"- {escaped(line)}" for line in _lines(found)]
    table = ["", "| Finding | Before | Now | Change |", "|---|---|---|---|"]
    table += [f"| {' | '.join(escaped(cell) for cell in row)} |" for row in _rows(found)]
    return [*lines, *(table if len(table) > 3 else []), "", escaped(_closing(found))]
