"""Do reference models behave like the audited one? Where not, what an attack learns from them is worth little."""

import numpy as np
from torch import Tensor

from auditor.attacks.base import ReferenceModels

_SPREADS = 4.0
"""Standard deviations over the reference models that the audited model may lie from their mean."""

_FACTOR = 2.0
"""A mean loss that differs by less than this factor is no misfit, however alike the reference models are."""

_SMALLEST = 1e-9


def misfit(losses: Tensor, is_member: Tensor, references: ReferenceModels) -> str:
    """Why a low figure of an attack with these reference models shows little; empty where they fit.

    Compares mean losses on records that trained a model and on others, on a log scale. Reference models are trained by
    the declared recipe; weights that were given may have been trained otherwise (Carlini et al., 2022,
    arXiv:2112.03570, section VI-E: mismatched training weakens the attack).

    Args:
        losses: Of the audited model on the candidates, ``(candidates,)``.
        is_member: Bool, ``(candidates,)``.
        references: The adversary's models.
    """
    told = []
    for what, own, each in (
        ("records that trained it", is_member, references.included),
        ("other records", ~is_member, ~references.included),
    ):
        rows = zip(references.losses, each, strict=True)
        usual = np.log([max(_SMALLEST, float(row[which].double().mean())) for row, which in rows if which.any()])
        if len(usual) < 2 or not own.any():
            continue
        found = max(_SMALLEST, float(losses[own].double().mean()))
        apart = abs(np.log(found) - usual.mean())
        if apart > max(np.log(_FACTOR), _SPREADS * usual.std(ddof=1)):
            told.append(f"a mean loss of {found:.3g} on {what}, and reference models {np.exp(usual.mean()):.3g}")
    if not told:
        return ""
    return (
        f"the audited model has {'; '.join(told)}: it was trained otherwise than the settings declare, so that the "
        "attack learned from models unlike it"
    )
