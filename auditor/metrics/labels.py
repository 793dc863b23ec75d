"""How many labels of the records behind an update were recovered."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from auditor.core.measurement import Measurement
from auditor.metrics.clustered import records_in, share_interval
from auditor.observations.records import Records
from auditor.observations.returned import RecoveredLabels


def measure_labels(
    outputs: Sequence[RecoveredLabels], truths: Sequence[Records], *, classes: int, population: Tensor | None = None
) -> tuple[Measurement, ...]:
    """Share of labels that were recovered: the overlap of the two multisets over the number of records.

    The floor is the better of two guesses without attack: equal counts for all classes, and counts in proportion to
    the labels of the population, which an adversary may hold.

    Args:
        outputs: One per attacked update.
        truths: The records behind each update.
        classes: Number of classes.
        population: Labels of population records, shape ``(n,)``; without them only equal counts are guessed.

    Raises:
        ValueError: if the lengths differ or there is nothing to measure.
    """
    if len(outputs) != len(truths) or not outputs:
        raise ValueError(f"{len(outputs)} label recoveries for {len(truths)} updates")
    true = [torch.bincount(records.labels.cpu().long(), minlength=classes).numpy() for records in truths]
    found = [output.counts.cpu().numpy() for output in outputs]
    hits = [_hits(a, b) for a, b in zip(found, true, strict=True)]
    shares = [np.full(classes, 1 / classes)]
    if population is not None and len(population):
        known = torch.bincount(population.cpu().long(), minlength=classes).numpy()
        shares.append(known / known.sum())
    floors = [np.mean(np.concatenate([_hits(_guess(share, counts), counts) for counts in true])) for share in shares]
    n = sum(map(len, hits))
    return (
        Measurement(
            metric="label_accuracy",
            value=float(np.concatenate(hits).mean()),
            unit="fraction",
            interval=share_interval(hits),
            n=n,
            n_of=records_in(len(outputs)),
            floor=float(max(floors)),
            floor_is="better of equal counts and counts in proportion to the labels of the population",
            method="overlap of recovered and true label counts",
        ),
    )


def _hits(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """One entry per record: 1 where its label is matched by a recovered one."""
    overlap = np.minimum(found, true)
    return np.concatenate(
        [np.r_[np.ones(hit), np.zeros(count - hit)] for hit, count in zip(overlap, true, strict=True)] or [np.zeros(0)]
    )


def _guess(shares: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Whole counts in proportion to ``shares`` with the right total (largest remainders)."""
    exact = shares * true.sum()
    counts: np.ndarray = np.floor(exact).astype(int)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: int(true.sum()) - counts.sum()]] += 1
    return counts
