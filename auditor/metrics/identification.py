"""How often the true record was picked out of a finite prior, beside the blind guess and the bound of DP."""

from collections.abc import Sequence

import torch

from auditor.core.measurement import Measurement
from auditor.metrics.intervals import clopper_pearson
from auditor.observations.records import Records
from auditor.observations.returned import Reconstruction


def measure_identification(
    outputs: Sequence[Reconstruction], truths: Sequence[Records], *, candidates: int
) -> tuple[Measurement, ...]:
    """Share of updates for which the chosen candidate is one of the true records.

    Args:
        outputs: One chosen record (or none) for each update.
        truths: The records behind each update.
        candidates: Size of the prior, the true record included.

    Raises:
        ValueError: if the lengths differ, there is nothing to measure, or the prior has fewer than two records.
    """
    if len(outputs) != len(truths) or not outputs:
        raise ValueError(f"{len(outputs)} choices for {len(truths)} updates")
    if candidates < 2:
        raise ValueError("a prior of one record leaves nothing to guess")
    hits = sum(_hit(output, truth) for output, truth in zip(outputs, truths, strict=True))
    return (
        Measurement(
            metric="answer_accuracy",
            value=hits / len(outputs),
            unit="fraction",
            interval=clopper_pearson(hits, len(outputs), over="updates"),
            n=len(outputs),
            n_of="updates",
            floor=1 / candidates,
            floor_is=f"blind guess among {candidates} candidates",
            method="the candidate with the largest likelihood is the true record",
        ),
    )


def _hit(output: Reconstruction, truth: Records) -> bool:
    if not len(output.inputs):
        return False
    chosen = output.inputs[0].to(truth.inputs)
    return any(torch.equal(chosen, record) for record in truth.inputs)
