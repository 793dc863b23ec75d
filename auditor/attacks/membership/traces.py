"""What a log of rounds says about each candidate: gradient directions and losses, for every client and round."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from auditor.attacks.base import RunContext
from auditor.core.errors import AttackFailed
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel, State
from auditor.observations.records import Records
from auditor.observations.released import Rounds, RoundView

MEMORY = 16 * 2**20
"""Numbers held at once for the gradients of single records."""
SMALLEST_NORM = 1e-12
BATCH = 512


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

    def asked(self, clients: Tensor) -> Tensor:
        """The figure of the client that each candidate is asked about, ``(rounds, candidates)``."""
        places = torch.tensor([self.senders.index(client) for client in clients.tolist()])
        return self.values.gather(1, places.expand(len(self.values), 1, -1)).squeeze(1)


def over_rounds(figures: Tensor, *, rounds: Literal["all", "last"] = "all") -> Tensor:
    """Mean (or last) of the figures that there are, ``(rounds, candidates)`` -> ``(candidates,)``.

    Where time ran out before a client took part, its candidates get the mean of the others: no evidence either way.
    """
    if rounds == "last":
        known = ~figures.isnan()
        latest = (known * torch.arange(1, len(figures) + 1).unsqueeze(1)).argmax(dim=0)
        found = figures.gather(0, latest.unsqueeze(0)).squeeze(0)
    else:
        found = figures.nanmean(dim=0)
    return torch.where(found.isnan(), found.nanmean(), found)


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
    senders = () if aggregate else _senders(seen)
    if seen.projections is not None:
        kept = seen.projections
        return Trace(kept.aggregate_cosines.double().unsqueeze(1) if aggregate else kept.cosines.double(), senders)

    def row(model: FunctionalModel, view: RoundView, candidates: Records) -> Tensor:
        sent = [view.aggregate] if aggregate else [view.updates.get(client) for client in senders]
        return cosines(model, view.before, sent, candidates)

    return Trace(_each_round(seen, model, context, row), senders)


def local_losses(seen: Rounds, model: SharedModel, context: RunContext) -> Trace:
    """Loss of each candidate under each client's model after its local training.

    Raises:
        AttackFailed: where the log holds no update of a single client.
    """
    senders = _senders(seen)
    if seen.projections is not None:
        return Trace(seen.projections.losses.double(), senders)

    def row(model: FunctionalModel, view: RoundView, candidates: Records) -> Tensor:
        found = torch.full((len(senders), len(candidates)), torch.nan, dtype=torch.float64)
        for place, client in enumerate(senders):
            if client in view.updates:
                found[place] = losses(model, add(view.before, view.updates[client]), candidates)
        return found

    return Trace(_each_round(seen, model, context, row), senders)


def received_losses(seen: Rounds, model: SharedModel, context: RunContext) -> Tensor:
    """Loss of each candidate under the model that each round began with, ``(rounds, candidates)``."""
    if seen.projections is not None:
        return seen.projections.received.double()
    return _each_round(seen, model, context, lambda model, view, asked: losses(model, view.before, asked))


def settled_losses(seen: Rounds, model: SharedModel, context: RunContext) -> Tensor:
    """The same under that model moved by the round's aggregate."""
    if seen.projections is not None:
        return seen.projections.settled.double()
    return _each_round(
        seen, model, context, lambda model, view, asked: losses(model, add(view.before, view.aggregate), asked)
    )


def asked_clients(seen: Rounds) -> Tensor:
    """The client that each candidate is asked about, ``(candidates,)``.

    Raises:
        AttackFailed: if the log names none, or one that took part in none of its rounds.
    """
    if seen.asked is not None:
        clients = seen.asked.cpu()
    elif seen.client is not None:
        clients = torch.full((len(seen.candidates),), seen.client)
    else:
        raise AttackFailed("this attack asks about one client; the observation names none")
    if absent := set(clients.unique().tolist()) - set(seen.clients):  # type: ignore[no-untyped-call]
        raise AttackFailed(f"client {min(absent)} took part in none of the {len(seen.rounds)} rounds")
    return clients


def about(clients: Tensor, rounds: int) -> str:
    """Whom the candidates were asked about, as a note."""
    number = len(clients.unique())  # type: ignore[no-untyped-call]
    return f"{rounds} rounds; each record asked about one of {number} clients" if number > 1 else f"{rounds} rounds"


def add(state: State, update: State) -> dict[str, Tensor]:
    """A state moved by an update; tensors without an update stay."""
    return {name: tensor + update[name] if name in update else tensor for name, tensor in state.items()}


def cosines(model: FunctionalModel, before: State, sent: Sequence[State | None], candidates: Records) -> Tensor:
    """Cosine of each candidate's descent direction with each update, ``(updates, candidates)``; NaN for None."""
    found = torch.full((len(sent), len(candidates)), torch.nan, dtype=torch.float64)
    present = {i: update for i, update in enumerate(sent) if update is not None}
    names = [name for name in model.trainable if present and name in next(iter(present.values()))]
    if not names:
        return found
    size = sum(before[name].numel() for name in names)
    flat = torch.stack([torch.cat([update[name].flatten() for name in names]) for update in present.values()])
    chunk = max(1, MEMORY // max(size, 1))
    for start in range(0, len(candidates), chunk):
        gradients = model.per_record_gradients(before, candidates[slice(start, start + chunk)])
        rows = torch.cat([gradients[name].flatten(1) for name in names], dim=1)
        # Updates are weights after minus before: descent, hence the sign.
        cosine = -(flat @ rows.T) / (flat.norm(dim=1)[:, None] * rows.norm(dim=1)[None, :]).clamp_min(SMALLEST_NORM)
        found[list(present), start : start + chunk] = cosine.cpu().double()
    return found


def losses(model: FunctionalModel, state: State, records: Records) -> Tensor:
    """Loss of each record, ``(records,)`` float64 on the CPU."""
    with torch.no_grad():
        parts = [model.losses(state, records[slice(i, i + BATCH)]) for i in range(0, len(records), BATCH)]
    return torch.cat(parts).cpu().double()


def _senders(seen: Rounds) -> tuple[int, ...]:
    if not seen.senders:
        raise AttackFailed("the log holds no update of a single client (secure aggregation)")
    return seen.senders


def _each_round(
    seen: Rounds,
    model: SharedModel,
    context: RunContext,
    row: Callable[[FunctionalModel, RoundView, Records], Tensor],
) -> Tensor:
    functional = FunctionalModel(model, device=context.device, batch_norm="eval")
    candidates = seen.candidates.to(context.device)
    return torch.stack([row(functional, view, candidates) for view in _in_time(seen, context)])


def _in_time(seen: Rounds, context: RunContext) -> Iterator[RoundView]:
    """The rounds in order; after the deadline no further one."""
    if not seen.rounds:
        raise AttackFailed("the log holds no round")
    for index, view in enumerate(seen.rounds):
        if index and context.out_of_time:
            return
        context.progress(index / len(seen.rounds))
        yield view
