"""A malicious server gives each record it asks about a neuron of its own, which fires for that record alone."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import about, asked_clients, over_rounds
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.learning.functional import FunctionalModel
from auditor.learning.gates import gated_layer, layer_inputs
from auditor.observations.model import State
from auditor.observations.records import Records
from auditor.observations.released import Observation, Rounds
from auditor.observations.returned import MembershipScores

_BATCH = 512
_RIDGE = 1e-4
_TINY = 1e-30


class ReluTrap:
    """One neuron of a layer before a ReLU is set to fire for one candidate; its row then moves for members alone.

    Pichler, Romanelli, Rey Vega and Piantanida, 2022, arXiv:2203.16463: the server sends weights under which the
    gradient is zero unless the record asked about is in the batch. Here each neuron of a layer asks about another
    candidate, so that a round answers as many questions as the layer has neurons. A row is the direction that tells
    its candidate best from the others (linear discriminant), its bias leaves the candidate just above zero. The score
    is the size of the cosine between what the row did and what the candidate alone would have made of it: 1 where it
    fired alone, 0 where nothing fired, in between where a similar record did. Its sign is left out, for over several
    local steps a neuron may be pushed either way.

    A linear neuron can single out only records that lie at the edge of the others, which in many dimensions nearly all
    do and in few do not. Rows are fitted to the candidates as the model reads them in evaluation: dropout, batch
    statistics or augmentation before the layer break the traps, and a low figure there shows little. The model is
    useless in these rounds: a client that looks at its loss notices.
    """

    name: ClassVar[str] = "membership/relu-trap"
    title: ClassVar[str] = "Membership by a neuron that fires for one record alone"
    paper: ClassVar[str] = "Pichler et al., 2022, arXiv:2203.16463"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.JOINS_MANY_ROUNDS, Grant.ALTERS_MODEL}),
        traits={
            "continuous_input": "the input is not continuous",
            "gated_layer": "no linear layer with a bias reads one row a record and falls silent below zero (ReLU)",
        },
    )
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "membership"

    class Params(AttackParams):
        """How narrow a trap is, and how many rounds are spent on it."""

        spread: Annotated[float, Field(gt=0)] = Field(
            4.0, description="Standard deviation of what a neuron is given over all candidates."
        )
        margin: Annotated[float, Field(gt=0)] = Field(
            2.0, description="How far above zero its own candidate lies; what that much below it lies does not fire."
        )
        rounds: Annotated[int, Field(ge=1)] = Field(
            16, description="Altered rounds, at the end of the training; each asks about one record a neuron."
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """A pass over all candidates a round, and one gradient of those asked about."""
        return Cost(gradient_evaluations=self.params.rounds, queries=self.params.rounds)

    def worsened_rounds(self) -> int:
        """In how many rounds the model is altered."""
        return self.params.rounds

    def altered(self, state: State, candidates: Records, model: FunctionalModel, *, turn: int) -> dict[str, Tensor]:
        """The layer's weights replaced by the traps of this turn; neurons that are left over never fire.

        Raises:
            AttackFailed: where the model has no layer that falls silent.
        """
        layer = _gated(model, state, candidates)
        features = _features(model, state, candidates, layer)
        weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
        asked = _asked(turn, len(candidates), neurons=len(bias))
        rows, offsets = trap_rows(features, asked, spread=self.params.spread, margin=self.params.margin)
        new_weight, new_bias = torch.zeros_like(weight), torch.full_like(bias, -self.params.margin)
        new_weight[: len(asked)], new_bias[: len(asked)] = rows.to(weight), offsets.to(bias)
        return {**state, f"{layer}.weight": new_weight, f"{layer}.bias": new_bias}

    def figure(
        self, before: State, updates: Sequence[State], candidates: Records, model: FunctionalModel, *, turn: int
    ) -> Tensor:
        """Cosine of each update's rows with what their candidates alone would leave, ``(updates, candidates)``.

        Candidates that no neuron asked about in this turn have NaN.
        """
        layer = _gated(model, before, candidates)
        neurons = len(before[f"{layer}.bias"])
        asked = _asked(turn, len(candidates), neurons=neurons)
        expected = _expected(model, before, candidates[asked.to(candidates.labels.device)], layer)
        found = torch.full((len(updates), len(candidates)), torch.nan, dtype=torch.float64)
        for place, update in enumerate(updates):
            moved = torch.cat([update[f"{layer}.weight"], update[f"{layer}.bias"].unsqueeze(1)], dim=1)
            rows = moved[: len(asked)].detach().cpu().double()
            size = rows.norm(dim=1) * expected.norm(dim=1)
            found[place, asked] = (rows * expected).sum(dim=1).abs() / size.clamp_min(_TINY)
        return found

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """The cosine of each candidate's own row in the round that asked about it, ``(candidates,)``.

        From sums the scores say whether any client holds the record. The log's ``before`` must be what
        :meth:`altered` made, its rounds in the order of the turns, and each candidate must have been asked about in
        one of them: one that was not gets the mean of the others.
        """
        assert isinstance(seen, Rounds)
        if not seen.senders:
            figures, note = self._of_sums(seen, known, context), "scores say whether any client holds the record"
            return MembershipScores(over_rounds(figures), notes=(note,))
        clients = asked_clients(seen)
        places = torch.tensor([seen.senders.index(client) for client in clients.tolist()])
        values = self._of_clients(seen, known, context)
        figures = values.gather(1, places.expand(len(values), 1, -1)).squeeze(1)
        return MembershipScores(over_rounds(figures), notes=(f"{about(clients, len(figures))}, all altered",))

    def _of_clients(self, seen: Rounds, known: Knowledge, context: RunContext) -> Tensor:
        """``(rounds, senders, candidates)``."""
        if seen.projections is not None:
            if seen.projections.own is None:
                raise AttackFailed("the log holds none of this attack's figures")
            return seen.projections.own.double()
        model, candidates = _ready(seen, known, context)
        found = torch.full((len(seen.rounds), len(seen.senders), len(candidates)), torch.nan, dtype=torch.float64)
        for turn, view in enumerate(seen.rounds):
            there = [place for place, client in enumerate(seen.senders) if client in view.updates]
            sent = [view.updates[seen.senders[place]] for place in there]
            found[turn, there] = self.figure(view.before, sent, candidates, model, turn=turn)
        return found

    def _of_sums(self, seen: Rounds, known: Knowledge, context: RunContext) -> Tensor:
        """``(rounds, candidates)``."""
        if seen.projections is not None:
            if seen.projections.own_aggregate is None:
                raise AttackFailed("the log holds none of this attack's figures")
            return seen.projections.own_aggregate.double()
        model, candidates = _ready(seen, known, context)
        rows = [
            self.figure(view.before, [view.aggregate], candidates, model, turn=turn)
            for turn, view in enumerate(seen.rounds)
        ]
        return torch.cat(rows)


def trap_rows(features: Tensor, asked: Tensor, *, spread: float, margin: float) -> tuple[Tensor, Tensor]:
    """Weights ``(asked, inputs)`` and biases ``(asked,)``, float64, of one neuron for each record asked about.

    A row is the record's distance from the mean times the inverse covariance (ridge 1e-4 of the mean variance), scaled
    so that what it gives over all records has standard deviation ``spread``; the bias puts its own record at
    ``margin``. Solved in the smaller of the two dimensions.

    Args:
        features: What the layer reads of each candidate, ``(candidates, inputs)``.
        asked: Places of the records asked about.
        spread, margin: In units of the layer's output.
    """
    features = features.double()
    centred = features - features.mean(dim=0)
    count, width = centred.shape
    ridge = max(_RIDGE * float(centred.square().mean()), _TINY)
    if width <= count:
        covariance = centred.T @ centred / count + ridge * torch.eye(width, dtype=torch.float64)
        rows = torch.linalg.solve(covariance, centred[asked].T).T
    else:
        gram = centred @ centred.T / count + ridge * torch.eye(count, dtype=torch.float64)
        chosen = torch.eye(count, dtype=torch.float64)[:, asked]
        rows = torch.linalg.solve(gram, chosen).T @ centred
    given = rows @ centred.T
    rows = rows * (spread / given.square().mean(dim=1).sqrt().clamp_min(_TINY)).unsqueeze(1)
    return rows, margin - (rows * features[asked]).sum(dim=1)


def _asked(turn: int, candidates: int, *, neurons: int) -> Tensor:
    """Places of the candidates of a turn; after the last one it begins again."""
    turns = -(-candidates // neurons)
    start = turn % turns * neurons
    return torch.arange(start, min(start + neurons, candidates))


def _gated(model: FunctionalModel, state: State, candidates: Records) -> str:
    layer = gated_layer(model.load(state), model.cast(candidates.inputs[:2]))
    if layer is None:
        raise AttackFailed("no linear layer of the model falls silent below zero, so none can be a trap")
    return layer


def _features(model: FunctionalModel, state: State, records: Records, layer: str) -> Tensor:
    """What the layer reads of each record, ``(records, inputs)``, on the CPU."""
    found = []
    with torch.no_grad(), layer_inputs(model.module, layer) as given:
        for start in range(0, len(records), _BATCH):
            model.outputs(state, records.inputs[start : start + _BATCH])
            found.append(given.inputs.cpu())
    return torch.cat(found)


def _expected(model: FunctionalModel, state: State, records: Records, layer: str) -> Tensor:
    """What each record alone would do to the row of its own neuron, up to a factor, ``(records, inputs + 1)``."""
    found = []
    with layer_inputs(model.module, layer) as given:
        for start in range(0, len(records), _BATCH):
            part = records[slice(start, start + _BATCH)]
            leaves = {**state, f"{layer}.bias": state[f"{layer}.bias"].detach().clone().requires_grad_()}
            loss = model.losses(leaves, part).sum()
            (slopes,) = torch.autograd.grad(loss, given.outputs)
            own = slopes[torch.arange(len(part)), torch.arange(start, start + len(part))].unsqueeze(1)
            read = given.inputs.detach()
            found.append((-own.sign() * torch.cat([read, torch.ones_like(own)], dim=1)).cpu().double())
    return torch.cat(found)


def _ready(seen: Rounds, known: Knowledge, context: RunContext) -> tuple[FunctionalModel, Records]:
    model = FunctionalModel(known.model, device=context.device, batch_norm="eval")
    return model, seen.candidates.to(context.device)
