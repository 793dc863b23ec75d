"""Which client holds which records."""

import numpy as np
import torch
from torch import Tensor

from auditor.config.settings import FederationSettings
from auditor.core.seeds import derive_seed
from auditor.observations.records import Records
from auditor.simulation.errors import SimulationError

_DRAWS = 100
_BINS = 10


def partition(federation: FederationSettings, records: Records, *, groups: Tensor | None, seed: int) -> list[Tensor]:
    """Indices of each client's records; every record belongs to exactly one client.

    - ``iid``: a shuffled deal, sizes differ by at most one.
    - ``dirichlet``: for each class, shares of the clients from Dirichlet(alpha) (Hsu et al., 2019,
      arXiv:1909.06335); drawn anew until each client holds a tenth of its fair share (10 at most), and topped up
      from the largest client if no draw does.
    - ``by_column``: a client for each value of the column; more values than clients are dealt to the smallest
      client so far, fewer leave clients without records.

    Args:
        federation: Scheme, ``alpha`` and number of clients.
        records: All training records.
        groups: The column's value of each record as an id, shape ``(n,)``; for ``by_column``.
        seed: Of the run; the partition derives its own.

    Raises:
        SimulationError: where the scheme lacks what it needs.
    """
    own = derive_seed(seed, "partition")
    match federation.partition.scheme:
        case "iid":
            order = torch.randperm(len(records), generator=torch.Generator().manual_seed(own))
            return [order[client :: federation.clients] for client in range(federation.clients)]
        case "dirichlet":
            return _dirichlet(federation, records, np.random.default_rng(own))
        case "by_column":
            return _by_column(federation, groups)


def _by_column(federation: FederationSettings, groups: Tensor | None) -> list[Tensor]:
    if groups is None:
        raise SimulationError(
            "federation.partition.scheme is 'by_column', but the data has no such column.",
            remedy="Name it in federation.partition.column.",
        )
    held: list[list[Tensor]] = [[] for _ in range(federation.clients)]
    sizes = [0] * federation.clients
    values, counts = torch.unique(groups, return_counts=True)
    for rank in torch.argsort(counts, descending=True, stable=True).tolist():
        client = sizes.index(min(sizes))
        held[client].append((groups == values[rank]).nonzero()[:, 0])
        sizes[client] += int(counts[rank])
    return [torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64) for parts in held]


def _dirichlet(federation: FederationSettings, records: Records, generator: np.random.Generator) -> list[Tensor]:
    alpha = federation.partition.alpha
    if alpha is None:
        raise SimulationError(
            "federation.partition.scheme is 'dirichlet' without 'alpha'.",
            remedy="Set federation.partition.alpha, e.g. 0.5; smaller is more uneven.",
        )
    classes = _classes(records)
    least = min(10, len(records) // (10 * federation.clients))
    for _ in range(_DRAWS):
        parts = _one_dirichlet(classes, federation.clients, alpha, generator)
        if min(map(len, parts)) >= least:
            return parts
    return _topped_up(parts, least)


def _one_dirichlet(classes: Tensor, clients: int, alpha: float, generator: np.random.Generator) -> list[Tensor]:
    held: list[list[Tensor]] = [[] for _ in range(clients)]
    for value in torch.unique(classes):
        mine = (classes == value).nonzero()[:, 0]
        mine = mine[torch.from_numpy(generator.permutation(len(mine)))]
        shares = generator.dirichlet(np.full(clients, alpha))
        ends = torch.from_numpy(np.rint(shares.cumsum() * len(mine)).astype(np.int64))
        for client, part in enumerate(torch.tensor_split(mine, ends[:-1])):
            held[client].append(part)
    return [torch.cat(parts) for parts in held]


def _topped_up(parts: list[Tensor], least: int) -> list[Tensor]:
    for client in range(len(parts)):
        while len(parts[client]) < least:
            giver = max(range(len(parts)), key=lambda other: len(parts[other]))
            parts[client] = torch.cat([parts[client], parts[giver][-1:]])
            parts[giver] = parts[giver][:-1]
    return parts


def _classes(records: Records) -> Tensor:
    labels = records.labels.cpu()  # as for the other schemes: who holds what indexes tensors that stay there
    if labels.is_floating_point():
        # A regression target has no classes; tenths of its range of ranks play their part.
        ranks = labels.reshape(len(labels), -1)[:, 0].argsort().argsort()
        return ranks * _BINS // max(1, len(labels))
    if labels.dim() > 1:
        raise SimulationError(
            "federation.partition.scheme is 'dirichlet', but these records have no class label.",
            remedy="Use 'iid' or 'by_column'.",
        )
    return labels
