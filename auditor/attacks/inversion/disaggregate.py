"""Single clients' updates from sums over rounds, by who took part in which round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import Tensor

from auditor.core.errors import AttackFailed
from auditor.observations.released import RoundView, SummedRounds

_ALIKE = 1e-9
_SECONDS = 20.0


@dataclass(frozen=True)
class Disaggregated:
    """What least squares gives for one client.

    Attributes:
        update: By parameter name, as the client would have sent it in the first of the rounds.
        noise_std: Standard deviation of its error on a coordinate, from what the fit left unexplained.
        unexplained: Share of the sums' squared norm that the fit leaves.
    """

    update: dict[str, Tensor]
    noise_std: float
    unexplained: float


def separable(matrix: np.ndarray, place: int) -> bool:
    """Can one column be told from the others? ``matrix`` is ``(rounds, clients)``."""
    others = np.delete(matrix, place, axis=1)
    rest = matrix[:, place] - others @ np.linalg.lstsq(others, matrix[:, place], rcond=None)[0]
    return bool(np.linalg.norm(rest) > 1e-6 * max(1.0, float(np.linalg.norm(matrix[:, place]))))


def disaggregated(seen: SummedRounds, taken: np.ndarray, clients: Sequence[int], *, drift: int) -> list[Disaggregated]:
    """Updates of :attr:`SummedRounds.asked`, by least squares on the participation matrix.

    Each sum is the sum of its clients' updates. Those change as the model does; what all have in common of the change
    is taken off by powers of time, centred at the first round.

    Args:
        seen: The sums.
        taken: Who took part, ``(rounds, clients)``.
        clients: The numbers behind its columns.
        drift: Highest power of time; 0 = none.

    Raises:
        AttackFailed: where a client always takes part with the same others.
    """
    totals = _totals(seen, taken, clients)
    shares = np.array([seen.shares[client] for client in clients])
    time = np.arange(len(totals)) / max(1, len(totals) - 1)
    size = (taken * shares).sum(1)
    common = [size * time**power for power in range(1, drift + 1)]
    weighted = taken * shares
    if weighted.shape[1] + len(common) > len(weighted):
        common = []
    design = np.column_stack([weighted, *common]) if common else weighted
    for client in seen.asked:
        if not separable(design, clients.index(client)):
            raise AttackFailed(f"client {client} cannot be told from the others in {len(taken)} rounds")
    inverse = torch.from_numpy(np.linalg.pinv(design)).to(totals)
    fitted = torch.from_numpy(design).to(totals) @ (inverse @ totals)
    free = max(1, len(design) - np.linalg.matrix_rank(design))
    spread = float(((totals - fitted).square().sum() / (free * totals.shape[1])).sqrt())
    unexplained = float((totals - fitted).square().sum() / totals.square().sum().clamp_min(1e-30))
    made = []
    for client in seen.asked:
        row = inverse[clients.index(client)]
        std = max(spread, seen.privatisation.noise_std * float(size.mean())) * float(row.norm())
        made.append(Disaggregated(_named(row @ totals, seen), std, unexplained))
    return made


def participation_known(seen: SummedRounds) -> tuple[np.ndarray, list[int]]:
    """The matrix as the server knows it, ``(rounds, clients)``, and its clients."""
    clients = sorted({client for view in seen.rounds for client in view.cohort})
    return np.array([[float(c in view.cohort) for c in clients] for view in seen.rounds]), clients


def participation_from_counts(seen: SummedRounds, *, window: int) -> tuple[np.ndarray, list[int]]:
    """The matrix from the sums and from how often each client took part in each ``window`` rounds.

    Lam et al., 2021, arXiv:2106.06089: a client's column lies in the span of the columns of the sums and adds up to
    its counts; a mixed-integer linear program finds the binary vector that leaves the span least.

    Raises:
        AttackFailed: where a column is not found in time.
    """
    known, clients = participation_known(seen)
    counted = {client: _counts(known[:, i], window) for i, client in enumerate(clients)}
    totals = _totals(seen, known, clients, weighted_by_records=True).double().cpu().numpy()
    left, values, _ = np.linalg.svd(totals, full_matrices=True)
    rank = min(len(clients), int((values > values[0] * 1e-6).sum()))
    if rank >= len(totals):
        raise AttackFailed(f"{len(totals)} rounds are too few to tell {len(clients)} clients apart by counts")
    outside = left[:, rank:].T
    columns = [_column(outside, counted[client], window) for client in clients]
    return np.column_stack(columns), clients


def _column(outside: np.ndarray, counts: np.ndarray, window: int) -> np.ndarray:
    """Binary vector with these counts that leaves the span least: ``min ||outside p||_1``."""
    free, rounds = outside.shape
    windows = np.zeros((len(counts), rounds))
    for i in range(len(counts)):
        windows[i, i * window : (i + 1) * window] = 1
    slack, none = np.eye(free), np.zeros((len(counts), free))
    limits = [
        LinearConstraint(np.hstack([outside, -slack]), ub=0),
        LinearConstraint(np.hstack([-outside, -slack]), ub=0),
        LinearConstraint(np.hstack([windows, none]), counts, counts),
    ]
    cost = np.concatenate([np.zeros(rounds), np.ones(free)])
    whole = np.concatenate([np.ones(rounds), np.zeros(free)])
    bounds = Bounds(0, np.concatenate([np.ones(rounds), np.full(free, np.inf)]))
    found = milp(cost, constraints=limits, integrality=whole, bounds=bounds, options={"time_limit": _SECONDS})
    if found.x is None:
        raise AttackFailed("who took part in which round was not found from the counts in time")
    return np.round(found.x[:rounds])


def _counts(column: np.ndarray, window: int) -> np.ndarray:
    return np.array([column[i : i + window].sum() for i in range(0, len(column), window)])


def _totals(
    seen: SummedRounds, taken: np.ndarray, clients: Sequence[int], *, weighted_by_records: bool = False
) -> Tensor:
    """Each round's sum over clients in place of its mean, ``(rounds, coordinates)``.

    The weight of a round is known either way: who took part, or how many records the protocol counted.
    """
    shares: Mapping[int, float] = seen.shares
    sizes = [
        sum(shares[client] for client in view.cohort)
        if weighted_by_records
        else float(row @ np.array([shares[client] for client in clients]))
        for view, row in zip(seen.rounds, taken, strict=True)
    ]
    return torch.stack([_flat(view) * size for view, size in zip(seen.rounds, sizes, strict=True)]).double()


def _flat(view: RoundView) -> Tensor:
    return torch.cat([view.aggregate[name].flatten() for name in sorted(view.aggregate)])


def _named(flat: Tensor, seen: SummedRounds) -> dict[str, Tensor]:
    like = seen.rounds[0].aggregate
    parts = torch.split(flat, [like[name].numel() for name in sorted(like)])
    return {name: part.reshape(like[name].shape).to(like[name]) for name, part in zip(sorted(like), parts, strict=True)}
