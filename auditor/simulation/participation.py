"""Which clients take part in a round."""

import torch

from auditor.config.settings import FederationSettings
from auditor.core.seeds import derive_seed
from auditor.simulation.errors import SimulationError


def participants(federation: FederationSettings, *, round: int, seed: int) -> list[int]:
    """Clients of one round, in ascending order; with Poisson participation there may be none."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "participation", round))
    settings, clients = federation.participation, federation.clients
    match settings.scheme:
        case "full":
            return list(range(clients))
        case "poisson":
            taken = torch.rand(clients, generator=generator) < _required(settings.rate, "rate", "poisson")
            return taken.nonzero()[:, 0].tolist()
        case "fixed_size":
            count = int(_required(settings.count, "count", "fixed_size"))
            if count > clients:
                raise SimulationError(
                    f"federation.participation.count is {count}, but there are {clients} clients.",
                    remedy="Lower the count or raise federation.clients.",
                )
            return sorted(torch.randperm(clients, generator=generator)[:count].tolist())


def expected_participants(federation: FederationSettings) -> float:
    """Mean number of clients in a round: the fixed denominator of client-level mechanisms."""
    settings = federation.participation
    match settings.scheme:
        case "full":
            return float(federation.clients)
        case "poisson":
            return federation.clients * _required(settings.rate, "rate", "poisson")
        case "fixed_size":
            return _required(settings.count, "count", "fixed_size")


def survivors(federation: FederationSettings, cohort: list[int], *, round: int, seed: int) -> list[int]:
    """Who is left after drop-outs of secure aggregation; nobody where fewer than its threshold are left."""
    secure = federation.aggregation.secure
    if not secure.enabled:
        return cohort
    left = []
    for client in cohort:
        generator = torch.Generator().manual_seed(derive_seed(seed, "dropout", round, client))
        if torch.rand((), generator=generator).item() >= secure.dropout:
            left.append(client)
    return left if len(left) >= (secure.threshold or 1) else []


def _required(value: float | None, name: str, scheme: str) -> float:
    if value is None:
        raise SimulationError(
            f"federation.participation.scheme is '{scheme}' without '{name}'.",
            remedy=f"Set federation.participation.{name}.",
        )
    return float(value)
