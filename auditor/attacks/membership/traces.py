"""What a log of rounds says about each candidate: gradient directions and losses, for every client and round."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.attacks.base import RunContext
from auditor.core.errors import AttackFailed
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.observations.released import Rounds, RoundView

MEMORY = 64 * 2**20
"""Numbers held at once for the gradients of single records."""
SMALLEST_NORM = 1e-12


@dataclass(frozen=True)
class Trace:
    """One figure for each round, sender and candidate; NaN where a client did not take part.

    Attributes:
        values: ``(rounds, senders, candidates)``.
        senders: Client numbers, in order; empty for a trace of aggregates, whose one sender is the cohort.
    """

    values: Tensor
    senders: tuple[int, ...]

    def of(self, client: int) -> Tensor:
        """Figures of one client over the rounds it took part in, ``(its rounds, candidates)``."""
        mine = self.values[:, self.senders.index(client)]
        return mine[~mine[:, :1].isnan().squeeze(1)]


def alignments(seen: Rounds, model: SharedModel, context: RunContext, *, aggregate: bool = False) -> Trace:
    """Cosine of each candidate's descent direction with each update, at the state that the round began with.

    Args:
        seen: The log.
        model: For gradients.
        context: Device, deadline, progress.
        aggregate: With the mean of the round (one sender) instead of the clients' updates.

    Raises:
        AttackFailed: where the log holds no update of a single client.
    """
    functional = FunctionalModel(model, device=context.device, batch_norm="eval")
    senders = () if aggregate else _senders(seen)
    candidates = seen.candidates.to(context.device)
    rows = []
    for view in _in_time(seen, context):
        sent = [view.aggregate] if aggregate else [view.updates.get(client) for client in senders]
        rows.append(_cosines(functional, view, sent, candidates))
    return Trace(torch.stack(rows), senders)


def local_losses(seen: Rounds, model: SharedModel, context: RunContext) -> Trace:
    """Loss of each candidate under each client's model after its local training.

    Raises:
        AttackFailed: where the log holds no update of a single client.
    """
    functional = FunctionalModel(model, device=context.device, batch_norm="eval")
    senders = _senders(seen)
    candidates = seen.candidates.to(context.device)
    rows = []
    for view in _in_time(seen, context):
        row = torch.full((len(senders), len(candidates)), torch.nan, dtype=torch.float64)
        for place, client in enumerate(senders):
            if client in view.updates:
                after = add(view.before, view.updates[client])
                row[place] = _losses(functional, after, candidates).cpu().double()
        rows.append(row)
    return Trace(torch.stack(rows), senders)


def received_losses(views: Sequence[RoundView], candidates: Records, model: SharedModel, context: RunContext) -> Tensor:
    """Loss of each candidate under the model that each round began with, ``(rounds, candidates)``."""
    functional = FunctionalModel(model, device=context.device, batch_norm="eval")
    here = candidates.to(context.device)
    return torch.stack([_losses(functional, view.before, here).cpu().double() for view in views])


def add(state: State, update: State) -> dict[str, Tensor]:
    """A state moved by an update; tensors without an update stay."""
    return {name: tensor + update[name] if name in update else tensor for name, tensor in state.items()}


def asked_client(seen: Rounds) -> int:
    """The client that the candidates are asked about.

    Raises:
        AttackFailed: if the log names none, or none of its rounds.
    """
    if seen.client is None:
        raise AttackFailed("this attack asks about one client; the observation names none")
    if seen.client not in seen.clients:
        raise AttackFailed(f"client {seen.client} took part in none of the {len(seen.rounds)} rounds")
    return seen.client


def _senders(seen: Rounds) -> tuple[int, ...]:
    senders = tuple(sorted({client for view in seen.rounds for client in view.updates}))
    if not senders:
        raise AttackFailed("the log holds no update of a single client (secure aggregation)")
    return senders


def _in_time(seen: Rounds, context: RunContext) -> Iterator[RoundView]:
    """The rounds in order; after the deadline no further one."""
    if not seen.rounds:
        raise AttackFailed("the log holds no round")
    for index, view in enumerate(seen.rounds):
        if index and context.out_of_time:
            return
        context.progress(index / len(seen.rounds))
        yield view


def _cosines(functional: FunctionalModel, view: RoundView, sent: Sequence[State | None], candidates: Records) -> Tensor:
    names = [name for name in functional.trainable if name in view.aggregate]
    size = sum(view.before[name].numel() for name in names)
    present = [i for i, update in enumerate(sent) if update is not None]
    flat = torch.stack([_flat(update, names) for update in sent if update is not None])
    found = torch.full((len(sent), len(candidates)), torch.nan, dtype=torch.float64)
    chunk = max(1, MEMORY // max(size, 1))
    for start in range(0, len(candidates), chunk):
        part = candidates[slice(start, start + chunk)]
        gradients = functional.per_record_gradients(view.before, part)
        rows = torch.cat([gradients[name].flatten(1) for name in names], dim=1)
        # Updates are weights after minus before: descent, hence the sign.
        cosine = -(flat @ rows.T) / (flat.norm(dim=1)[:, None] * rows.norm(dim=1)[None, :]).clamp_min(SMALLEST_NORM)
        found[present, start : start + chunk] = cosine.cpu().double()
    return found


def _flat(update: State, names: Sequence[str]) -> Tensor:
    return torch.cat([update[name].flatten() for name in names])


def _losses(functional: FunctionalModel, state: State, records: Records) -> Tensor:
    with torch.no_grad():
        return torch.cat([functional.losses(state, records[slice(i, i + 512)]) for i in range(0, len(records), 512)])
