"""``auditor decide``: a file in which people write down what they decide about a run."""

from pathlib import Path

import typer

from auditor.cli.finished import finished


def decide(
    run_dir: Path = typer.Argument(..., metavar="RUN_DIR", help="The folder of a finished run."),
) -> None:
    """Print every open decision about a run in words, as a file to fill in: findings to accept, risks to override."""
    from auditor.policy.decision_form import template
    from auditor.policy.decisions import decide as applied
    from auditor.policy.decisions import read_decisions
    from auditor.report.load import parse_results, results_of

    results = parse_results(results_of(finished(run_dir)), str(run_dir))
    before = read_decisions(run_dir)
    typer.echo(template(results, applied(results, before) if before else None), nl=False)
