"""How often an attack picks the true answer among several, beside a guess by the commonest one."""

import torch
from torch import Tensor

from auditor.core.measurement import Interval, Measurement
from auditor.metrics.intervals import clopper_pearson
from auditor.observations.returned import Attributions


def measure_gain(found: Attributions, baseline: Attributions, truth: Tensor) -> Measurement:
    """Accuracy of the attack minus that of a baseline on the same records, with an exact paired interval.

    Given how many records only one of the two answers rightly, the attack's share of these is binomial (McNemar, 1947).

    Args:
        found: The attack's scores.
        baseline: Scores without access to the model.
        truth: The true answers, shape ``(candidates,)``.
    """
    attack, blind = right_answers(found, truth), right_answers(baseline, truth)
    won, lost, n = int((attack & ~blind).sum()), int((blind & ~attack).sum()), len(truth)
    share = clopper_pearson(won, won + lost)
    scale = (won + lost) / n
    return Measurement(
        metric="accuracy_gain",
        value=(won - lost) / n,
        unit="fraction",
        interval=Interval(
            low=(2 * share.low - 1) * scale,
            high=(2 * share.high - 1) * scale,
            level=share.level,
            method="Clopper-Pearson on the records where only one is right",
            over="records",
        ),
        n=n,
        n_of="records",
        floor=0.0,
        floor_is="the same guess without the model",
        method="accuracy of the attack minus that of imputation without the model, paired (McNemar, 1947)",
    )


def right_answers(found: Attributions, truth: Tensor) -> Tensor:
    """Is the highest-scored answer the true one? Bool, shape ``(candidates,)``."""
    return torch.tensor(found.choices)[found.scores.cpu().argmax(dim=1)] == truth.cpu()


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
    right = int(right_answers(found, truth).sum())
    if floor is None:
        floor = int(truth.unique(return_counts=True)[1].max()) / len(truth)  # type: ignore[no-untyped-call]
        floor_is = "always the commonest answer"
    measured = Measurement(
        metric="answer_accuracy",
        value=right / len(truth),
        unit="fraction",
        interval=clopper_pearson(right, len(truth)),
        n=len(truth),
        n_of=f"records, {len(found.choices)} possible answers",
        floor=floor,
        floor_is=floor_is,
        protects=protects,
        method="share of records whose highest-scored answer is the true one; a tie counts for the first",
    )
    return (measured,)
