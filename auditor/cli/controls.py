"""``auditor controls``: look after the law packs."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import datetime

app = typer.Typer(help="Look after the law packs.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look after the law packs."""


@app.command("lint")
def lint_(
    max_age: int = typer.Option(365, "--max-age", min=0, help="Days after which an entry nobody looked at is stale."),
    today: str = typer.Option("", "--today", help="Check as of this day (YYYY-MM-DD); default: today."),
) -> None:
    """Fail where an entry is stale or malformed."""
    import datetime

    from auditor.controls.catalogue import available_catalogues, load_catalogue
    from auditor.controls.lint import lint
    from auditor.core.errors import ExitCode

    problems = lint(today=_day(today), max_age=datetime.timedelta(days=max_age))
    for problem in problems:
        typer.echo(problem)
    if problems:
        typer.echo(f"{len(problems)} problems in the law packs.", err=True)
        raise typer.Exit(ExitCode.FINDING)
    entries = sum(len(load_catalogue(name).entries) for name in available_catalogues())
    typer.echo(f"{entries} entries in {len(available_catalogues())} packs: no problems.", err=True)


def _day(text: str) -> "datetime.date":
    import datetime

    from auditor.core.errors import AuditorError

    try:
        return datetime.date.fromisoformat(text) if text else datetime.datetime.now(datetime.UTC).date()
    except ValueError:
        raise AuditorError(f"--today: {text!r} is not a date.", remedy="Write it as 2026-11-20.") from None
