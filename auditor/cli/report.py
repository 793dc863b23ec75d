"""``auditor report``: write the report of a finished run again."""

from pathlib import Path

import typer


def report(
    run_dir: Path = typer.Argument(..., metavar="RUN_DIR", help="The folder of a finished run."),
    formats: str = typer.Option(
        "html,pdf",
        "--formats",
        help="html, pdf, pia, oscal, junit, sarif, intoto, card; several joined by commas, or all.",
    ),
) -> None:
    """Write RUN_DIR/release/report.html and report.pdf from RUN_DIR/results.json; nothing is attacked again."""
    from auditor.report.render import EXPORTS, FORMATS, render

    chosen = [name.strip() for name in formats.split(",") if name.strip()]
    if chosen == ["all"]:
        chosen = [*FORMATS, *EXPORTS]
    for path in render(run_dir, chosen):
        typer.echo(path)
