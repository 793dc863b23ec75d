"""``auditor decide``: a file in which people write down what they decide about a run."""

from pathlib import Path

import typer


def decide(
    run_dir: Path = typer.Argument(..., metavar="RUN_DIR", help="The folder of a finished run."),
) -> None:
    """Print a decisions file for this run: open findings to accept and risk values to override, to be filled in."""
    from auditor.policy.decisions import template
    from auditor.report.load import parse_results, results_of

    typer.echo(template(parse_results(results_of(run_dir), str(run_dir))), nl=False)
