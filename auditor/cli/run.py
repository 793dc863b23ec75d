"""``auditor run``: one audit from settings to report."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from auditor.cli.repeat import repeatable
from auditor.core.errors import AuditorError, ExitCode

if TYPE_CHECKING:
    from auditor.core.results import Results
    from auditor.engine.run import AuditRun
    from auditor.policy.decisions import Decided


NAMED = 5
"""So many findings that exceed are named at the end of a run; the others are counted."""


class FailOn(StrEnum):
    """Which findings make the command fail."""

    EXCEEDS = "exceeds"
    INCONCLUSIVE = "inconclusive"
    NEVER = "never"


class ExecutorName(StrEnum):
    """Where units of work are done."""

    SERIAL = "serial"
    PROCESSES = "processes"
    RAY = "ray"


def run(
    audit: Path = typer.Argument(..., metavar="AUDIT.YAML", help="The settings file."),
    out: Path | None = typer.Option(None, "--out", help="Run folder; given the same one, the run goes on there."),
    fail_on: FailOn = typer.Option(
        FailOn.NEVER,
        "--fail-on",
        help="Exit with 1 when a finding exceeds its limit, or also when inconclusive.",
    ),
    executor: ExecutorName | None = typer.Option(None, "--executor", help="Overrides compute.executor."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Overrides compute.workers."),
    plan: Path | None = typer.Option(None, "--plan", help="Refuse to run where the plan saved here does not hold."),
    against: Path | None = typer.Option(None, "--against", help="An earlier run; the report says what changed."),
) -> None:
    """Run an audit and write results.json and the report; run again with the same --out to resume."""
    from auditor.config.load import load_audit

    read = load_audit(audit)
    _require_there(plan, against)
    from auditor.cli.progress import shown_progress
    from auditor.engine.run import default_folder, run_audit, with_compute

    document = with_compute(read, executor=executor and executor.value, workers=workers)
    folder = out or default_folder(document)
    said = repeatable(
        "auditor run", audit, out=out, fail_on=fail_on, executor=executor, workers=workers, plan=plan, against=against
    )
    try:
        with shown_progress() as progress:
            done = run_audit(document, folder, progress=progress, command=said, against=against, planned=plan)
    except KeyboardInterrupt:
        typer.echo(f"auditor: interrupted; what was finished is kept. Go on with: --out {folder}", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    for line in _summary(done):
        typer.echo(line, err=True)
    decided = _decided(folder, done.results)
    for line in decided.told if decided else ():
        typer.echo(line, err=True)
    for file in done.files:
        typer.echo(str(file))
    if code := exit_code(done.results, fail_on, accepted=decided.accepted_ids if decided else frozenset()):
        sys.exit(code)


def _require_there(plan: Path | None, against: Path | None) -> None:
    """What other options name must be there before anything heavy is loaded.

    Raises:
        AuditorError: naming the option.
    """
    for option, path in (("--plan", plan), ("--against", against)):
        if path is not None and not path.exists():
            raise AuditorError(f"{option}: {path} is not there.", remedy="Check the name.")


def _decided(folder: Path, results: "Results") -> "Decided | None":
    from auditor.policy.decisions import decide, read_decisions

    decisions = read_decisions(folder)
    return decide(results, decisions) if decisions else None


def exit_code(results: "Results", fail_on: FailOn, *, accepted: frozenset[str] = frozenset()) -> ExitCode:
    """The exit code that a run's findings ask for; ``accepted`` ones do not count.

    A figure that exceeds its limit does so whatever an incomplete run lacks; an inconclusive one may still be settled.
    """
    statuses = {finding.status.value for finding in results.findings if finding.id not in accepted}
    if fail_on is not FailOn.NEVER and "exceeds" in statuses:
        return ExitCode.FINDING
    if not results.run.complete:
        return ExitCode.INCOMPLETE
    return ExitCode.FINDING if fail_on is FailOn.INCONCLUSIVE and "inconclusive" in statuses else ExitCode.COMPLETE


def _summary(done: "AuditRun") -> list[str]:
    results = done.results
    lines = [_counts(results)]
    exceeding = [finding for finding in results.findings if finding.status == "exceeds"]
    lines += [f"Exceeds: {finding.sentence}" for finding in exceeding[:NAMED]]
    if len(exceeding) > NAMED:
        lines.append(f"{len(exceeding) - NAMED} more exceed; the report names them.")
    if done.reused:
        lines.append(f"{done.reused} units of work were already finished; {done.done_now} were done now.")
    lines.append(f"Peak memory {done.peak_bytes / 2**30:.2f} GiB.")
    if not results.run.complete:
        lines.append("Incomplete: some attacks failed or did not fit into the budget. Run again with the same --out.")
        lines += done.left
    return lines


def _counts(results: "Results") -> str:
    """The same counts as on the first page of the report."""
    from auditor.policy.words import count
    from auditor.report.strings import strings
    from auditor.report.tally import overall, planned
    from auditor.report.worst import tests

    unfit = len(tests(results)) - len(planned(results))
    apart = f" {count(unfit, 'attack run does', 'attack runs do')} not apply." if unfit else ""
    return f"{overall(results, strings('en'))}{apart}"
