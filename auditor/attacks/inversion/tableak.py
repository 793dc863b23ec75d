"""Reconstruction of table rows: many restarts, pooled cell by cell, with the agreement as confidence."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import one_hot

from auditor.attacks.base import Needs
from auditor.attacks.inversion.gradient_matching import GradientMatching
from auditor.attacks.inversion.search import Found, Search
from auditor.attacks.inversion.unknowns import Unknowns
from auditor.core.grants import Grant
from auditor.core.shape import Modality
from auditor.observations.returned import Reconstruction

_SPREAD = 0.319
"""A number counts as agreed within this share of a standard deviation (inputs are standardised)."""


class TabLeak(GradientMatching):
    """Categories as a softmax, several starts, rows matched between them, cells pooled.

    Vero et al., 2023, arXiv:2210.01785: softmax relaxation, pooled ensembling over restarts, and the agreement of the
    ensemble as the attack's own statement of how sure a row is. Numbers are pooled by their median, categories by
    votes; the half of the starts that fits worse does not vote.
    """

    name: ClassVar[str] = "inversion/tableak"
    title: ClassVar[str] = "Reconstruction of table rows by an ensemble"
    paper: ClassVar[str] = "Vero et al., 2023, arXiv:2210.01785"
    needs: ClassVar[Needs] = Needs(
        frozenset(),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE}),
        modalities=frozenset({Modality.TABULAR}),
        traits={"continuous_input": "the input is not continuous (tokens cannot be moved by a gradient)"},
    )

    class Params(GradientMatching.Params):
        """Defaults from the paper's experiments, with fewer starts."""

        learning_rate: Annotated[float, Field(gt=0)] = Field(0.2, description="First step size in model units.")
        restarts: Annotated[int, Field(ge=1)] = Field(8, description="Starts that are pooled; the paper takes 30.")

    def _returned(self, found: Found, chosen: int, search: Search, rule: str) -> Reconstruction:
        single = super()._returned(found, chosen, search, rule)
        kept = torch.argsort(found.distances)[: max(2, (len(found.distances) + 1) // 2)]
        aligned = aligned_to(found.inputs[kept], found.inputs[chosen])
        rows, agreement = pooled(aligned, search.unknowns)
        return Reconstruction(
            rows.cpu(),
            labels=single.labels,
            confidence=agreement.cpu(),
            objective=single.objective,
            iterations=found.iterations,
            notes=(*single.notes, f"Cells pooled over the {len(kept)} better of {len(found.distances)} starts."),
        )


def aligned_to(candidates: Tensor, reference: Tensor) -> Tensor:
    """Each candidate's rows in the order of ``reference``, by least total squared distance.

    Args:
        candidates: ``(candidates, records, features)``.
        reference: ``(records, features)``.
    """
    ordered = []
    for candidate in candidates:
        _, columns = linear_sum_assignment(torch.cdist(reference, candidate).square().cpu().numpy())
        ordered.append(candidate[torch.as_tensor(columns)])
    return torch.stack(ordered)


def pooled(aligned: Tensor, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
    """Rows ``(records, features)`` and the mean share of starts that agree with each ``(records,)``."""
    rows = aligned.median(0).values
    features = aligned.shape[-1]
    taken = {i for column in unknowns.categorical for i in range(column.start, column.stop)}
    agreements = []
    for column in unknowns.categorical:
        votes = aligned[..., column.start : column.stop].mean(0)
        rows[:, column.start : column.stop] = one_hot(votes.argmax(1), column.stop - column.start).to(rows)
        agreements.append(votes.max(1).values)
    for i in range(features):
        if i not in taken:
            agreements.append(((aligned[..., i] - rows[:, i]).abs() <= _SPREAD).float().mean(0))
    return rows, torch.stack(agreements).mean(0)
