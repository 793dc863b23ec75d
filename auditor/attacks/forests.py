"""Forests of trees that stop growing where time does."""

import time
import warnings
from typing import Any

from auditor.attacks.base import RunContext
from auditor.core.errors import AttackFailed

GROUP = 25
"""Trees that grow between two looks at the clock, and the fewest of a forest: each record is then out of the bag of
some tree (missed by all with chance 0.63 ** 25, one in 100,000)."""


def grow(forest: Any, features: Any, values: Any, *, context: RunContext, share: float = 1.0) -> None:
    """Fit a forest of scikit-learn, group by group; equal to ``forest.fit`` where time does not run out.

    What is left undone is said in ``context.shortened``.

    Args:
        forest: Not fitted; its ``n_estimators`` and ``random_state`` say which trees grow. Changed.
        features: ``(records, features)``.
        values: ``(records,)``.
        context: For the deadline. A group that would end after it is not begun.
        share: How much of the time that is left it may use.

    Raises:
        AttackFailed: where no time is left at the start.
    """
    if context.out_of_time:
        raise AttackFailed("time ended before its forest began to grow")
    whole, began = forest.n_estimators, time.monotonic()
    end = None if context.deadline is None else began + share * (context.deadline - began)
    forest.set_params(warm_start=True)
    for trees in [*range(GROUP, whole, GROUP), whole]:
        with warnings.catch_warnings():  # while few trees stand, a record may be in every bag
            warnings.filterwarnings("ignore", message="Some inputs do not have OOB")
            forest.set_params(n_estimators=trees).fit(features, values)
        each = (time.monotonic() - began) / trees
        if end is not None and trees < whole and time.monotonic() + GROUP * each > end:
            context.shortened.append(f"{trees} of {whole} trees grew before the deadline")
            return
