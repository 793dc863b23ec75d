"""``auditor account``: epsilon with its bracket from the blocks ``federation`` and ``privacy`` alone."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from auditor.core.errors import AuditorError

if TYPE_CHECKING:
    from auditor.config.load import BlocksDocument


class Format(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


def account(
    audit: Path = typer.Argument(..., metavar="AUDIT.YAML", help="The settings; federation and privacy are enough."),
    format_: Format = typer.Option(Format.TEXT, "--format", help="text or json"),
    target_epsilon: float | None = typer.Option(
        None, "--target-epsilon", min=0.0, help="Say which noise multiplier gives this epsilon."
    ),
    records: int | None = typer.Option(
        None, "--records", min=1, help="Training records, where the file has no privacy.override.records."
    ),
) -> None:
    """Account for the declared privacy: epsilon by round, what it caps, and what is declared wrongly.

    No data are read, so --records gives their number where steps and sampling depend on it.
    """
    from auditor.accounting.report import accounting_report
    from auditor.accounting.text import accounting_text
    from auditor.config.load import load_blocks

    document = load_blocks(audit)
    if target_epsilon is not None:
        _calibrate(document, target_epsilon, records, format_)
        return
    report = accounting_report(document, positions=document.positions, records=records)
    if format_ is Format.JSON:
        typer.echo(report.model_dump_json(indent=2))
    elif report.epsilon is not None or report.lints:
        typer.echo(accounting_text(report))
    if report.epsilon is None:
        raise AuditorError(f"{audit.name}: epsilon was not computed.", remedy=report.reason)


def _calibrate(document: "BlocksDocument", target: float, records: int | None, format_: Format) -> None:
    """Print the noise multiplier that reaches ``target``.

    Raises:
        AuditorError: There is no mechanism to add noise to.
    """
    import json

    from auditor.accounting.calibrate import calibrate
    from auditor.accounting.silos import worst_silo
    from auditor.accounting.text import rounded

    privacy = document.privacy
    if privacy.mechanism == "none":
        raise AuditorError(
            f"{document.path.name}: privacy.mechanism is 'none', so there is no noise to choose.",
            remedy="Name a mechanism, its unit, adjacency, sampling and delta.",
        )
    noisy = privacy if privacy.noise_multiplier else privacy.model_copy(update={"noise_multiplier": 1.0})
    found = calibrate(worst_silo(document.federation, noisy, records=records).spec, target)
    noise = rounded(found.noise_multiplier, up=True, digits=6)
    if format_ is Format.JSON:
        typer.echo(
            json.dumps(
                {
                    "target_epsilon": target,
                    "noise_multiplier": float(noise),
                    "epsilon": json.loads(found.epsilon.model_dump_json()),
                },
                indent=2,
            )
        )
        return
    typer.echo(f"privacy.noise_multiplier: {noise}")
    typer.echo(
        f"gives epsilon at most {rounded(found.epsilon.upper, up=True)} at delta {found.epsilon.delta:g} "
        f"(target {target:g})."
    )
    if privacy.protects == "record":
        typer.echo("Clients of equal size are assumed; one that holds fewer records has a larger epsilon.")
