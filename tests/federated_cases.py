"""A small federation on digits or baskets, all clients side by side, for tests of attacks on rounds."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from auditor.observations.model import LocalTraining, Privatisation
from auditor.observations.records import Records
from auditor.observations.released import Rounds, RoundView
from tests.membership_cases import Models, Split, digits

NAMES = ("0.weight", "0.bias", "2.weight", "2.bias")


@dataclass(frozen=True)
class Federation:
    """A log of rounds with the truth beside it.

    Attributes:
        rounds: Views of each round.
        candidates: 1,400 digits, or 4,000 baskets.
        owner: The client that holds a candidate, -1 for non-members, ``(candidates,)``.
        local: The recipe.
        accuracy: Of the last model on non-members.
    """

    rounds: tuple[RoundView, ...]
    candidates: Records
    owner: Tensor
    local: LocalTraining
    accuracy: float

    def seen(self, client: int | None = 0, *, secure: bool = False) -> Rounds:
        """The log about one client; under secure aggregation without the single updates."""
        rounds = self.rounds
        if secure:
            rounds = tuple(RoundView(r.round, r.before, {}, r.cohort, r.aggregate) for r in rounds)
        return Rounds(rounds, self.candidates, client, self.local, Privatisation())


def federation(
    *,
    clients: int = 10,
    rounds: int = 60,
    epochs: int = 4,
    learning_rate: float = 0.2,
    batch: int = 16,
    label_noise: float = 0.3,
    cohort: int | None = None,
    clip: float | None = None,
    noise: float = 0.0,
    alpha: float | None = None,
    alter: Callable[[dict[str, Tensor], Records], dict[str, Tensor]] | None = None,
    altered_rounds: int = 0,
    split: Split | None = None,
    seed: int = 0,
) -> Federation:
    """The research case D30-FL: FedAvg of ten clients with 70 records each; another 700 records stay outside.

    With a ``split``, half of its candidates are dealt to the clients instead.

    Args:
        clients, rounds, epochs, learning_rate, batch, label_noise: As in the research.
        cohort: Clients drawn in each round; None = all.
        clip: Bound on the L2 norm of each update.
        noise: Standard deviation on each coordinate of each update.
        alpha: Dirichlet skew of labels over clients; None = iid.
        alter: What a malicious server makes of the model that it sends, in the last rounds.
        altered_rounds: How many rounds it alters, after the honest ones.
        split: Records other than digits; ``label_noise`` is not added to them.
        seed: Of all that is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    split = split or digits(label_noise=label_noise, seed=seed)
    candidates = split.candidates
    candidates = candidates[torch.randperm(len(candidates), generator=generator)]
    parts = _parts(candidates.labels, clients, alpha, generator)
    owner = torch.full((len(candidates),), -1)
    for number, part in enumerate(parts):
        owner[part] = number
    state = [p[0] for p in Models.fresh(1, generator, inputs=split.width, classes=split.classes).parameters()]
    views = []
    for number in range(rounds + altered_rounds):
        if alter is not None and number >= rounds:
            state = _unnamed(alter(_named(state), candidates))
        taking = range(clients) if cohort is None else torch.randperm(clients, generator=generator)[:cohort].tolist()
        moved = _local(state, candidates, [parts[i] for i in taking], epochs, learning_rate, batch, generator)
        moved = _private(moved, clip, noise, generator)
        mean = [m.mean(dim=0) for m in moved]
        updates = {c: _named([m[i] for m in moved]) for i, c in enumerate(taking)}
        views.append(RoundView(number, _named(state), updates, tuple(taking), _named(mean)))
        state = [s + m for s, m in zip(state, mean, strict=True)]
    outside = candidates[owner < 0]
    logits = Models(*(s.unsqueeze(0) for s in state)).outputs(outside.inputs)[0]
    local = LocalTraining(
        "fedavg", epochs, batch, "sgd", learning_rate, 0.0, 0.0, epochs * math.ceil(len(parts[0]) / batch), "train"
    )
    return Federation(
        tuple(views), candidates, owner, local, float((logits.argmax(1) == outside.labels).double().mean())
    )


def _parts(labels: Tensor, clients: int, alpha: float | None, generator: torch.Generator) -> list[Tensor]:
    """70 records a client from the first half of the candidates."""
    half, each = len(labels) // 2, len(labels) // 2 // clients
    if alpha is None:
        return list(torch.arange(half).split(each))
    left, parts = torch.ones(half, dtype=torch.bool), []
    for _ in range(clients):
        share = torch._sample_dirichlet(torch.full((10,), alpha), generator=generator)
        weight = share[labels[:half]].clamp_min(1e-9) * left
        part = torch.multinomial(weight, each, generator=generator)
        left[part] = False
        parts.append(part)
    return parts


def _local(
    state: list[Tensor],
    records: Records,
    parts: list[Tensor],
    epochs: int,
    learning_rate: float,
    batch: int,
    generator: torch.Generator,
) -> list[Tensor]:
    """Weights after minus before, each with leading clients."""
    rows = torch.stack(parts)
    parameters = [s.expand(len(rows), *s.shape).clone().requires_grad_() for s in state]
    for _ in range(epochs):
        order = rows.gather(1, torch.rand(rows.shape, generator=generator).argsort(dim=1))
        for index in order.split(batch, dim=1):
            logits = Models(*parameters).outputs(records.inputs[index])
            loss = F.cross_entropy(logits.flatten(0, 1), records.labels[index].flatten(), reduction="sum")
            gradients = torch.autograd.grad(loss / index.shape[1], parameters)
            with torch.no_grad():
                for p, g in zip(parameters, gradients, strict=True):
                    p -= learning_rate * g
    return [p.detach() - s for p, s in zip(parameters, state, strict=True)]


def _private(moved: list[Tensor], clip: float | None, noise: float, generator: torch.Generator) -> list[Tensor]:
    if clip is not None:
        norm = torch.stack([m.flatten(1).norm(dim=1) for m in moved]).norm(dim=0)
        scale = (clip / norm).clamp(max=1.0)
        moved = [m * scale.view(-1, *[1] * (m.dim() - 1)) for m in moved]
    return [m + noise * torch.randn(m.shape, generator=generator) for m in moved]


def _unnamed(state: dict[str, Tensor]) -> list[Tensor]:
    parts = [state[name] for name in NAMES]
    return [parts[0].T, parts[1].unsqueeze(0), parts[2].T, parts[3].unsqueeze(0)]


def _named(parts: list[Tensor]) -> dict[str, Tensor]:
    """As ``nn.Sequential(Linear, ReLU, Linear)`` names and shapes them."""
    shaped = [parts[0].T, parts[1].squeeze(0), parts[2].T, parts[3].squeeze(0)]
    return dict(zip(NAMES, (p.contiguous() for p in shaped), strict=True))
