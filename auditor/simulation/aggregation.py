"""How the server combines the updates of a round."""

from collections.abc import Sequence

import torch
from torch import Tensor

from auditor.config.settings import AggregationSettings
from auditor.observations.model import State
from auditor.simulation.errors import SimulationError

TRIMMED_SHARE = 0.1
"""Share of clients cut at each end by the trimmed mean; at least one where three or more take part."""


def check_aggregation(settings: AggregationSettings) -> None:
    """Refuse rules that need what secure aggregation hides."""
    if settings.secure.enabled and settings.rule != "mean":
        raise SimulationError(
            f"federation.aggregation.rule '{settings.rule}' needs single updates, which secure aggregation hides.",
            remedy="Set the rule to 'mean' or federation.aggregation.secure.enabled to false.",
        )


def combine(updates: Sequence[State], weights: Sequence[float], rule: str) -> dict[str, Tensor]:
    """One update out of one or more.

    - ``mean``: weighted by ``weights``.
    - ``median``, ``trimmed_mean``: by coordinate, unweighted (Yin et al., 2018, arXiv:1803.01498).
    - ``krum``: the update nearest to its neighbours (Blanchard et al., 2017, arXiv:1703.02757), for as many
      attackers as it can bear, ``(n - 3) // 2``. Fewer than three clients: the mean.
    """
    names = list(updates[0])
    if rule == "krum" and len(updates) >= 3:
        return dict(updates[krum_choice(updates)])
    stacked = {name: torch.stack([update[name] for update in updates]) for name in names}
    match rule:
        case "median":
            return {name: _median(values) for name, values in stacked.items()}
        case "trimmed_mean":
            return {name: _trimmed(values) for name, values in stacked.items()}
        case "mean":
            shares = _shares(weights, stacked[names[0]])
            return {name: torch.tensordot(shares, values, dims=1) for name, values in stacked.items()}
    return {name: values.mean(dim=0) for name, values in stacked.items()}


def combine_buffers(buffers: Sequence[State], weights: Sequence[float]) -> dict[str, Tensor]:
    """BatchNorm statistics of a round: weighted mean of the floating ones, the largest of the counters."""
    found = {}
    for name in buffers[0]:
        values = torch.stack([each[name] for each in buffers])
        if values.is_floating_point():
            found[name] = torch.tensordot(_shares(weights, values), values, dims=1)
        else:
            found[name] = values.amax(dim=0)
    return found


def krum_choice(updates: Sequence[State]) -> int:
    """Position of the update whose ``n - f - 2`` nearest others are nearest, ``f = (n - 3) // 2``."""
    flat = torch.stack([torch.cat([value.flatten() for value in update.values()]) for update in updates])
    distances = torch.cdist(flat, flat).square()
    neighbours = len(updates) - (len(updates) - 3) // 2 - 2
    nearest = distances.sort(dim=1).values[:, 1 : neighbours + 1]
    return int(nearest.sum(dim=1).argmin())


def _shares(weights: Sequence[float], like: Tensor) -> Tensor:
    values = torch.tensor(weights, dtype=like.dtype, device=like.device)
    return values / values.sum()


def _median(values: Tensor) -> Tensor:
    # torch.median takes the lower middle value; the coordinate-wise median of an even number is their mean.
    ordered = values.sort(dim=0).values
    n = len(values)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def _trimmed(values: Tensor) -> Tensor:
    n = len(values)
    cut = max(int(TRIMMED_SHARE * n), 1) if n >= 3 else 0
    return values.sort(dim=0).values[cut : n - cut].mean(dim=0)
