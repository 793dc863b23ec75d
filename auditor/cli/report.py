"""``auditor report``: write the report of a finished run again."""

from pathlib import Path

import typer


def report(
    run_dir: Path = typer.Argument(..., metavar="RUN_DIR", help="The folder of a finished run."),
    formats: str = typer.Option("html,pdf", "--formats", help="html, pdf, or both, joined by a comma."),
) -> None:
    """Write RUN_DIR/release/report.html and report.pdf from RUN_DIR/results.json; nothing is attacked again."""
    from auditor.report.render import render

    chosen = [name.strip() for name in formats.split(",") if name.strip()]
    for path in render(run_dir, chosen):
        typer.echo(path)
