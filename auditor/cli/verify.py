"""``auditor verify``: check that a run and its report belong together and were not altered."""

from pathlib import Path

import typer

from auditor.cli.finished import finished
from auditor.core.errors import ExitCode


def verify(
    run_dir: Path = typer.Argument(..., metavar="RUN_DIR", help="The folder of a finished run."),
    quick: bool = typer.Option(False, "--quick", help="Do not render the PDF again."),
    trust: list[Path] = typer.Option(
        [], "--trust", help="Certificate (PEM or DER) that signers must lead back to; may be given several times."
    ),
) -> None:
    """Check hashes and signatures, derive findings and epsilon again, render the report again; say what differs."""
    from auditor.report.signatures import load_trusted
    from auditor.report.verify import verify as checks

    finished(run_dir)
    trusted = load_trusted(trust) if trust else None
    altered = False
    for check in checks(run_dir, full=not quick, trusted=trusted):
        if not check.name:
            typer.echo(check.note)
            continue
        mark = "skipped" if check.skipped else "differs" if check.differs else "same"
        more = check.skipped or check.note
        typer.echo(f"{mark:8} {check.name}{f': {more}' if more else ''}")
        for difference in check.differs:
            typer.echo(f"         {difference}")
        altered = altered or bool(check.differs)
    if altered:
        raise typer.Exit(ExitCode.FINDING)
