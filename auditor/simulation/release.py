"""What a mechanism leaves visible in what it releases: the released mean, and the public description of its noise."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from auditor.core.seeds import derive_seed
from auditor.observations.model import LocalTraining, Privatisation
from auditor.simulation.aggregation import combine
from auditor.simulation.clients import Sent, gaussian
from auditor.simulation.compression import kept_fraction
from auditor.simulation.mechanisms import Mechanism
from auditor.simulation.private_steps import expected_batch


def client_privatisation(mechanism: Mechanism, recipe: LocalTraining, records: int) -> Privatisation:
    """What the mechanism did to one client's update.

    Under ``dp_fedavg`` and ``dp_ftrl`` the noise is added by the server, so the update that the server receives is
    clipped and carries none.
    """
    return _described(mechanism, _client_std(mechanism, recipe, records))


def aggregate_privatisation(
    mechanism: Mechanism, sent: Sequence[Sent], sizes: Sequence[int], *, with_server_noise: bool
) -> Privatisation:
    """What the mechanism did to a round's mean over clients that hold ``sizes`` records."""
    shares = _shares(mechanism, sent)
    stds = [_client_std(mechanism, each.recipe, size) for each, size in zip(sent, sizes, strict=True)]
    std = math.sqrt(sum((share * own) ** 2 for share, own in zip(shares, stds, strict=True)))
    if mechanism.server_adds_noise and with_server_noise:
        std = mechanism.sum_noise_std / len(sent)
    return _described(mechanism, std)


def released_mean(
    mechanism: Mechanism, rule: str, sent: Sequence[Sent], *, seed: int, with_server_noise: bool
) -> dict[str, Tensor]:
    """A round's mean over the clients that took part.

    Weighted by records, or equally where a client-level bound needs that. The server divides by the expected number
    of clients instead; who sees its sum and knows both numbers sees this.
    """
    mean = combine([each.update for each in sent], _shares(mechanism, sent), rule)
    if not (mechanism.server_adds_noise and with_server_noise):
        return mean
    generator = torch.Generator(next(iter(mean.values())).device).manual_seed(derive_seed(seed, "server-noise"))
    noise = gaussian(mean, mechanism.sum_noise_std / len(sent), generator)
    return {name: mean[name] + noise[name] for name in mean}


def _shares(mechanism: Mechanism, sent: Sequence[Sent]) -> list[float]:
    weights = [1.0 if mechanism.equal_weights else each.weight for each in sent]
    return [weight / sum(weights) for weight in weights]


def _described(mechanism: Mechanism, std: float) -> Privatisation:
    update = mechanism.federation.update
    return Privatisation(
        clipping_norm=None if mechanism.clipped == "none" else mechanism.norm,
        clipped=mechanism.clipped,
        noise_std=std,
        kept_fraction=kept_fraction(update),
        quantise_bits=update.quantise_bits,
    )


def _client_std(mechanism: Mechanism, recipe: LocalTraining, records: int) -> float:
    if mechanism.kind == "dp_sgd":
        each = mechanism.sum_noise_std / expected_batch(records, recipe, mechanism.privacy.sampling)
        return each if recipe.algorithm == "fedsgd" else each * accumulated(recipe)
    return mechanism.client_factor * mechanism.sum_noise_std if mechanism.kind != "none" else 0.0


def accumulated(recipe: LocalTraining) -> float:
    """Standard deviation of a difference after local steps, in units of that of one step's gradient.

    Exact for SGD on a constant gradient: noise of step k counts ``lr * (1 - m^(K-k)) / (1 - m)``; on a curved loss,
    and for the proximal term, a first-order value. Adam divides by the size of what it sees, here the noise itself,
    so a step moves about ``lr`` whatever the noise; that is expressed by a factor on the gradient's own scale, which
    is unknown: the SGD value is given as a lower estimate.
    """
    m, steps = recipe.momentum, recipe.steps
    reach = [(1 - m ** (steps - k)) / (1 - m) for k in range(steps)]
    return recipe.learning_rate * math.sqrt(sum(value**2 for value in reach))
