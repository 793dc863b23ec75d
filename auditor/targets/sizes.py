"""Sizes that follow from the federation's settings and the number of member records."""

import math
from typing import TypedDict

from auditor.config.settings import FederationSettings


class FederationSizes(TypedDict):
    """Fields of :class:`auditor.core.shape.TargetShape`."""

    records_per_client: int
    records_per_update: int
    local_steps: int
    aggregated_clients: int


def federation_sizes(federation: FederationSettings, members: int) -> FederationSizes:
    """How many records and steps stand behind one update, and how many clients behind one sum.

    Numbers for planning: an uneven partition gives clients more or fewer records than the mean.
    """
    per_client = max(1, members // federation.clients)
    batch = min(federation.local.batch_size, per_client)
    one_gradient = federation.algorithm == "fedsgd"
    who = federation.participation
    clients = {
        "full": federation.clients,
        "fixed_size": who.count,
        "poisson": round(federation.clients * (who.rate or 1)),
    }
    return FederationSizes(
        records_per_client=per_client,
        records_per_update=batch if one_gradient else per_client,
        local_steps=1 if one_gradient else federation.local.epochs * math.ceil(per_client / batch),
        aggregated_clients=max(1, clients[who.scheme] or federation.clients),
    )
