"""``auditor gallery``: blurred reconstructions for the assessor, never for release."""

from pathlib import Path

import typer


def gallery(
    run_dir: Path = typer.Argument(..., metavar="RUN_DIR", help="The folder of a finished run."),
    approver: str = typer.Option(..., "--approver", help="Who approves that reconstructions are looked at."),
    reason: str = typer.Option(..., "--reason", help="Why; at least 40 characters."),
) -> None:
    """Write restricted/gallery.html: strongly blurred pictures that attacks rebuilt; originals are not shown."""
    from auditor.report.gallery import write_gallery

    typer.echo(write_gallery(run_dir, approver=approver, reason=reason))
