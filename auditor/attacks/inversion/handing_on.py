"""An update that was worked out from something else goes on to the attack that suits it."""

from typing import NamedTuple

from auditor.attacks.base import Cost, Knowledge, RunContext
from auditor.attacks.inversion.evidence import Update
from auditor.attacks.inversion.gradient_matching import GradientMatching
from auditor.attacks.inversion.linear_layer import LinearLayer
from auditor.attacks.inversion.spear import Spear
from auditor.core.errors import AttackFailed
from auditor.core.shape import TargetShape
from auditor.observations.returned import Reconstruction


class Handed(NamedTuple):
    """What was found, and by which attack."""

    found: Reconstruction
    by: str


def hand_on(update: Update, known: Knowledge, context: RunContext, *, iterations: int) -> Handed:
    """Closed forms where the first layer allows them, else gradient matching.

    The gradient of one record is read off the first layer; that of several is split where noise leaves it of low
    rank, which the split tests itself. All else is left to matching, which weighs the whole update.
    """
    if _closed_form(known.model.shape) and update.local.steps <= 1:
        for attack in _closed_forms(update.records):
            try:
                return Handed(attack.run(update, known, context), attack.title.lower())
            except AttackFailed:
                continue
    matching = GradientMatching(GradientMatching.Params(iterations=iterations))
    return Handed(matching.run(update, known, context), matching.title.lower())


def inner_cost(shape: TargetShape, *, iterations: int) -> Cost:
    """Of the dearest attack that may follow."""
    return GradientMatching(GradientMatching.Params(iterations=iterations)).cost(shape)


def _closed_form(shape: TargetShape) -> bool:
    return {"first_layer_linear", "first_layer_bias"} <= shape.traits


def _closed_forms(records: int) -> list[LinearLayer | Spear]:
    if records == 1:
        return [LinearLayer(LinearLayer.Params())]
    return [Spear(Spear.Params())] if records <= Spear.Params().records else []
