"""How often an attack picks the true answer among several, beside a guess by the commonest one."""

import torch
from torch import Tensor

from auditor.core.measurement import Measurement
from auditor.metrics.intervals import clopper_pearson
from auditor.observations.returned import Attributions


def measure_choices(
    found: Attributions, truth: Tensor, *, floor: float | None = None, floor_is: str = "", protects: str = "record"
) -> tuple[Measurement, ...]:
    """Accuracy of the highest-scored answer, with its exact interval.

    Args:
        found: Scores of each answer.
        truth: The true answer of each candidate, as in ``found.choices``, shape ``(candidates,)``.
        floor: Accuracy without the model; default: the share of the commonest true answer.
        floor_is: How the floor was made.
        protects: Unit that the answer speaks of.

    Raises:
        ValueError: if shapes differ.
    """
    truth = truth.cpu()
    if len(truth) != len(found.scores):
        raise ValueError(f"{len(found.scores)} candidates, {len(truth)} truths")
    choices = torch.tensor(found.choices)
    right = int((choices[found.scores.cpu().argmax(dim=1)] == truth).sum())
    if floor is None:
        floor = int(truth.unique(return_counts=True)[1].max()) / len(truth)  # type: ignore[no-untyped-call]
        floor_is = "always the commonest answer"
    measured = Measurement(
        metric="answer_accuracy",
        value=right / len(truth),
        unit="fraction",
        interval=clopper_pearson(right, len(truth)),
        n=len(truth),
        n_of=f"records, {len(choices)} possible answers",
        floor=floor,
        floor_is=floor_is,
        protects=protects,
        method="share of records whose highest-scored answer is the true one; a tie counts for the first",
    )
    return (measured,)
