"""``auditor gallery``: blurred reconstructions for the assessor, never for release."""

from pathlib import Path

import typer

from auditor.cli.finished import finished


def gallery(
    run_dir: Path = typer.Argument(..., metavar="RUN_DIR", help="The folder of a finished run."),
    approver: str = typer.Option(..., "--approver", help="Who approves that reconstructions are looked at."),
    reason: str = typer.Option(..., "--reason", help="Why; at least 40 characters."),
) -> None:
    """Write restricted/gallery.html: strongly blurred pictures that attacks rebuilt; originals are not shown.

    The file is not encrypted. It is written only where nobody but the owner of RUN_DIR/restricted may open that folder
    (mode 0700, as a run makes it); who copies it elsewhere must protect it there.
    """
    from auditor.report.gallery import write_gallery

    typer.echo(write_gallery(finished(run_dir), approver=approver, reason=reason))
    typer.echo("Not encrypted: only the owner may open the folder. Do not pass the file on.", err=True)
