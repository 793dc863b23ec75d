"""``auditor report``: write the report of a finished run again."""

from pathlib import Path

import typer

from auditor.cli.finished import finished
from auditor.core.errors import AuditorError


def report(
    run_dir: Path = typer.Argument(..., metavar="RUN_DIR", help="The folder of a finished run."),
    formats: str = typer.Option(
        "html,pdf",
        "--formats",
        help="html, pdf, pia, oscal, junit, sarif, intoto, card; several joined by commas, or all.",
    ),
    against: Path | None = typer.Option(None, "--against", help="An earlier run; the report says what changed."),
    decisions: Path | None = typer.Option(
        None, "--decisions", help="File of accepted findings and overrides, applied as of today."
    ),
    without_data_check: bool = typer.Option(
        False,
        "--without-data-check",
        help="Render although restricted/fingerprints.json is missing; the release says that it was not compared.",
    ),
    discard_signatures: bool = typer.Option(
        False, "--discard-signatures", help="Write a signed report again and give up its signatures."
    ),
) -> None:
    """Write RUN_DIR/release/report.html and report.pdf from RUN_DIR/results.json; nothing is attacked again."""
    from auditor.report.render import EXPORTS, FORMATS, UNCHECKED, render

    finished(run_dir)
    chosen = [name.strip() for name in formats.split(",") if name.strip()]
    if not chosen:
        raise AuditorError(
            "--formats names no format.", remedy=f"Choose from {', '.join((*FORMATS, *EXPORTS))}, or all."
        )
    if chosen == ["all"]:
        chosen = [*FORMATS, *EXPORTS]
    if against or decisions:
        _keep(run_dir, against, decisions, discard=discard_signatures)
    written = render(run_dir, chosen, compare_with_data=not without_data_check, discard=discard_signatures)
    for path in written:
        typer.echo(path)
    if (run_dir / "release" / UNCHECKED).exists():
        typer.echo("Note: the leak check could not compare with data; only images and kinds were checked.", err=True)


def _keep(run_dir: Path, against: Path | None, decisions: Path | None, *, discard: bool) -> None:
    """Keep what the report needs beside the results, so that it can be made again from the folder alone."""
    from datetime import UTC, datetime

    from auditor.policy.decisions import decide, load_decisions
    from auditor.report.load import keep_decisions, keep_earlier, load_evidence
    from auditor.report.signing import refuse_signed

    evidence = load_evidence(run_dir)
    if not discard:
        refuse_signed(run_dir)
    if decisions is not None:
        made = load_decisions(decisions, as_of=datetime.now(UTC).date())
        keep_decisions(run_dir, made)
        for line in decide(evidence.results, made).told or ("The file holds no decision.",):
            typer.echo(line, err=True)
    if against is not None:
        keep_earlier(run_dir, against)
