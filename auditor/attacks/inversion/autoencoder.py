"""A small variational autoencoder of other records of the same kind: what an adversary knows of how records look."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auditor.learning.modes import to_evaluation
from auditor.observations.model import GivenPrior
from auditor.observations.records import Records

_BATCH = 64
_RATE = 2e-3
_LEAST_SPREAD = 1e-3
_LOOKED_AT = 64
_LATENT_STEPS = 300
_LATENT_RATE = 0.1
_KEPT: dict[str, "Decoder"] = {}
"""The last decoder of this process: attacks on several updates share their population."""


class _Network(nn.Module):
    """Encoder and decoder of two hidden layers each, on standardised, flattened records."""

    def __init__(self, inputs: int, latent: int, hidden: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 2 * latent)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, inputs)
        )

    def forward(self, inputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction, and divergence of each record's posterior from the prior in nats."""
        mean, log_variance = self.encoder(inputs).chunk(2, dim=1)
        log_variance = log_variance.clamp(-12, 6)
        made: Tensor = self.decoder(mean + (log_variance / 2).exp() * noise)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return made, divergence


@dataclass(frozen=True)
class Decoder:
    """From standard normal latents to records.

    Attributes:
        network: From latents ``(n, latent)`` to standardised, flat records; its weights take no gradient.
        mean, scale: Of the records, by which the network's output is brought to model units. ``(inputs,)``.
        spread: Standard deviation of what the network leaves out of records it was not trained on, in model units.
        input_shape: Of one record.
        latent: Size of a latent.
    """

    network: nn.Module
    mean: Tensor
    scale: Tensor
    spread: float
    input_shape: tuple[int, ...]
    latent: int

    def __call__(self, latents: Tensor) -> Tensor:
        """Records ``(..., *input_shape)`` of latents ``(..., latent)``; differentiable."""
        made: Tensor = self.network(latents.flatten(0, -2)).flatten(1)
        flat = self.mean + self.scale * made
        return flat.reshape(*latents.shape[:-1], *self.input_shape)

    def to(self, device: str) -> "Decoder":
        """The same on another device."""
        moved = self.network.to(device)
        return Decoder(moved, self.mean.to(device), self.scale.to(device), self.spread, self.input_shape, self.latent)

    def samples(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Records that the prior makes up without any update, ``(n, *input_shape)``, on the CPU."""
        with torch.no_grad():
            return self(torch.randn(n, self.latent, generator=generator).to(self.mean.device)).cpu()


def trained(population: Records, *, latent: int, hidden: int, steps: int) -> Decoder:
    """Kingma and Welling, 2014, arXiv:1312.6114: Gaussian decoder whose variance is fitted as training goes.

    A tenth of the records is kept back; what the autoencoder leaves of them is its :attr:`Decoder.spread`, and the
    weights are those that did best on them. Randomness follows from the arguments, so that all attacks of a run share
    one prior.

    Args:
        population: Records of the same kind.
        latent: Size of a latent.
        hidden: Width of the hidden layers.
        steps: Batches of 64.
    """
    key = content_key(population.inputs, latent, hidden, steps)
    if key not in _KEPT:
        _KEPT.clear()
        _KEPT[key] = _Training(population, latent, hidden, seed=int(key[:12], 16)).run(steps)
    return _KEPT[key]


def given(prior: GivenPrior, population: Records) -> Decoder:
    """A decoder that was trained elsewhere; its spread is what the best latents leave of other records.

    Args:
        prior: Made records of the right shape when it was loaded.
        population: Records of the same kind, of which some are looked at.
    """
    looked_at = population.inputs[:_LOOKED_AT].detach().cpu().float()
    key = content_key(prior.sha256, prior.name, prior.latent, looked_at)
    if key not in _KEPT:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = prior.build()
        to_evaluation(network)
        network.requires_grad_(False)
        shape = tuple(looked_at.shape[1:])
        whole = Decoder(network, torch.zeros(()), torch.ones(()), 1.0, shape, prior.latent)
        _KEPT.clear()
        _KEPT[key] = replace(whole, spread=_left_out(whole, looked_at))
    return _KEPT[key]


def _left_out(decoder: Decoder, records: Tensor) -> float:
    """Standard deviation of what the best latents leave of these records."""
    generator = torch.Generator().manual_seed(0)
    latents = (0.1 * torch.randn(len(records), decoder.latent, generator=generator)).requires_grad_()
    optimiser = torch.optim.Adam([latents], lr=_LATENT_RATE)
    least = float("inf")
    for _ in range(_LATENT_STEPS):
        loss = (decoder(latents) - records).square().mean()
        least = min(least, float(loss.detach()))
        (latents.grad,) = torch.autograd.grad(loss, latents)
        optimiser.step()
    return float(max(least, 0.0) ** 0.5)


def content_key(*parts: object) -> str:
    """A name for tensors and plain values, by their content: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


class _Training:
    def __init__(self, population: Records, latent: int, hidden: int, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._input_shape = tuple(population.inputs.shape[1:])
        flat = population.inputs.detach().cpu().float().flatten(1)
        order = torch.randperm(len(flat), generator=self._generator)
        self._mean, self._scale = flat.mean(0), flat.std(0).clamp_min(_LEAST_SPREAD) + 0.1 * flat.std()
        whole = ((flat - self._mean) / self._scale)[order]
        kept_back = max(1, len(whole) // 10)
        self._held, self._used = whole[:kept_back], whole[kept_back:]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._network = _Network(prod(self._input_shape), latent, hidden)
        self._latent = latent

    @cached_property
    def _optimiser(self) -> torch.optim.Adam:
        return torch.optim.Adam(self._network.parameters(), lr=_RATE)

    def run(self, steps: int) -> Decoder:
        best, best_error = self._state(), float("inf")
        for step in range(steps):
            for group in self._optimiser.param_groups:
                group["lr"] = _RATE * (1 - step / steps) + 1e-5
            self._step()
            if (step + 1) % max(1, steps // 20) == 0:
                error = self._error()
                if error < best_error:
                    best, best_error = self._state(), error
        self._network.load_state_dict(best)
        self._network.requires_grad_(False)
        left = (self._made(self._held) - self._held) * self._scale
        spread = float(left.square().mean().sqrt())
        return Decoder(self._network.decoder, self._mean, self._scale, spread, self._input_shape, self._latent)

    def _step(self) -> None:
        picked = torch.randint(len(self._used), (min(_BATCH, len(self._used)),), generator=self._generator)
        batch = self._used[picked]
        noise = torch.randn(len(batch), self._latent, generator=self._generator)
        made, divergence = self._network(batch, noise)
        # The variance that fits best is the mean squared error itself (sigma-VAE, Rybkin et al., 2021).
        fit = 0.5 * batch.shape[1] * F.mse_loss(made, batch).clamp_min(1e-8).log()
        self._optimiser.zero_grad()
        (fit + divergence.mean()).backward()
        self._optimiser.step()

    def _made(self, records: Tensor) -> Tensor:
        with torch.no_grad():
            made: Tensor = self._network(records, torch.zeros(len(records), self._latent))[0]
        return made

    def _error(self) -> float:
        return float(F.mse_loss(self._made(self._held), self._held))

    def _state(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self._network.state_dict().items()}
