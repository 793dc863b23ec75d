"""Which reconstructed record belongs to which true one, and how good each pair is.

An attack does not know the order of the records, so outputs are assigned to true records one to one such that the
total quality is the largest (Hungarian algorithm, Kuhn 1955); the same rule is used for guesses without an attack.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from auditor.metrics.similarity import Quality


@dataclass(frozen=True)
class Matched:
    """Quality of the record that was assigned to each true record.

    Attributes:
        rows: Index into the guesses, ``(records,)``; -1 where there were fewer guesses than records.
        quality: ``(records,)``; that of the fallback where ``rows`` is -1.
    """

    rows: np.ndarray
    quality: np.ndarray


def assign(quality: Quality, guesses: np.ndarray, truth: np.ndarray, *, fallback: np.ndarray) -> Matched:
    """Assign ``guesses`` to ``truth`` one to one.

    Args:
        quality: Says how good each guess is for each true record; larger is better.
        guesses: ``(k, *record_shape)`` in natural units; ``k`` may be 0.
        truth: ``(records, *record_shape)`` in natural units.
        fallback: One record that counts where no guess is left, e.g. the mean of the population.
    """
    rows = np.full(len(truth), -1)
    values = quality(fallback[None], truth)[0].copy()
    if len(guesses):
        table = quality(guesses, truth)
        picked, columns = linear_sum_assignment(-table)
        rows[columns] = picked
        values[columns] = table[picked, columns]
    return Matched(rows, values)
