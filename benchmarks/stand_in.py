"""The rows of the research's case L (Location-30, which could not be had) on shopping baskets in its place."""

from collections.abc import Iterator
from pathlib import Path

from auditor.metrics.intervals import clopper_pearson

REFERENCES = 16


def released(shared: Path, *, classes: int) -> Iterator[tuple[str, str, list[float]]]:
    """Row, name and values over eight targets: AUC, and true-positive rate at .1 % and at 1 %."""
    from tests.attacks.membership.test_baskets import ATTACKS, figures
    from tests.membership_cases import baskets, pool

    models = pool(baskets(shared, classes=classes), pairs=12)
    rows = {"loss": "1", "population": "1", "base": "3", "rmia": "3", "rmia_fixed": "3", "quantile": "10"}
    for name, attack in ATTACKS.items():
        found = figures(attack, models, REFERENCES)
        for what, values in (("AUC", found.auc), ("TPR at .1 %", found.rare), ("TPR at 1 %", found.tpr)):
            yield rows.get(name, "2"), f"G{classes}, {name.replace('_', ' ')}, {what}", values.tolist()


def ascent(shared: Path, *, classes: int, seeds: int) -> Iterator[tuple[str, str, list[float]]]:
    """Three worsened rounds against the loss of the last honest model, mean over ten clients for each seed."""
    from tests.attacks.active.test_baskets import areas

    both = [areas(shared, classes, seed=seed) for seed in range(seeds)]
    yield "9", f"G{classes}-FL, gradient ascent, AUC", [active for active, _ in both]
    yield "9", f"G{classes}-FL, loss of the last honest model, AUC", [passive for _, passive in both]


def trap(shared: Path, *, classes: int) -> Iterator[list[str]]:
    """Members that score above every one of 2,000 others, pooled over ten clients."""
    from tests.attacks.active.test_baskets import named

    right, members = named(shared, classes)
    ends = clopper_pearson(right, members)
    name = f"G{classes}-FL, neuron for each record, TPR at no false positive of 2,000"
    yield ["9", name, f"{right / members:.3f}", f"{members} members", f"{ends.low:.3f} to {ends.high:.3f}", ">= .95"]
