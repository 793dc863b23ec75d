"""What the server does with a round's updates: combine, add noise, step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from auditor.config.settings import FederationSettings
from auditor.core.seeds import derive_seed
from auditor.learning.optimisers import Memory, Optimiser
from auditor.observations.model import State
from auditor.simulation.aggregation import check_aggregation, combine, combine_buffers
from auditor.simulation.clients import Sent, gaussian
from auditor.simulation.mechanisms import Mechanism
from auditor.simulation.meter import Meter

_NORM_RATE = 0.2
"""Step size of the clipping norm (Andrew et al., 2021, arXiv:1905.03871, section 3)."""


@dataclass(frozen=True)
class Combined:
    """A round's update as the model moves by it, and without the noise that the server added."""

    update: dict[str, Tensor]
    before_server_noise: dict[str, Tensor]


class Server:
    """Combines updates and moves the model; keeps what lasts over rounds."""

    def __init__(self, federation: FederationSettings, mechanism: Mechanism, meter: Meter, *, seed: int) -> None:
        check_aggregation(federation.aggregation)
        self._federation = federation
        self._mechanism = mechanism
        self._meter = meter
        self._seed = seed
        local = federation.local
        self._optimiser = Optimiser(local.optimizer, local.learning_rate, local.momentum)
        self._memory: Memory | None = None
        self._tree = NoiseTree(seed) if mechanism.kind == "dp_ftrl" else None
        self.norm = mechanism.norm if mechanism.clipped == "client" else None

    def combine(self, sent: Sequence[Sent], names: tuple[str, ...], like: State, *, round: int) -> Combined | None:
        """One update out of a round's; None where nobody sent and no noise is due."""
        mechanism = self._mechanism
        if not mechanism.equal_weights:
            if not sent:
                return None
            updates, weights = [each.update for each in sent], [each.weight for each in sent]
            if mechanism.kind == "local":
                for each in sent:
                    self._measure(each.noise)
            mean = combine(updates, weights, self._federation.aggregation.rule)
            return Combined(mean, mean)
        return self._noisy_mean(sent, {name: like[name] for name in names}, round)

    def _noisy_mean(self, sent: Sequence[Sent], like: dict[str, Tensor], round: int) -> Combined:
        """Sum of clipped updates over the expected number of clients (McMahan et al., 2018, arXiv:1710.06963)."""
        mechanism = self._mechanism
        total = {name: torch.zeros_like(value) for name, value in like.items()}
        for each in sent:
            total = {name: total[name] + each.update[name] for name in total}
        quiet = {name: value / mechanism.cohort for name, value in total.items()}
        if not mechanism.server_adds_noise:
            self._measure_shares(sent)
            return Combined(quiet, quiet)
        noise = self._server_noise(like, round)
        return Combined({name: quiet[name] + noise[name] / mechanism.cohort for name in quiet}, quiet)

    def _server_noise(self, like: dict[str, Tensor], round: int) -> dict[str, Tensor]:
        norm = self.norm or 0.0
        std = self._mechanism.applied_multiplier * norm
        if self._tree is not None:
            noise, nodes = self._tree.next(like, std)
            self._measure(nodes)
            return noise
        device = next(iter(like.values())).device
        generator = torch.Generator(device).manual_seed(derive_seed(self._seed, "server-noise", round))
        noise = gaussian(like, std, generator)
        self._measure(noise)
        return noise

    def _measure(self, noise: State) -> None:
        if noise and self._mechanism.noise_multiplier and self.norm:
            self._meter.noise(noise.values(), norm=self.norm)

    def _measure_shares(self, sent: Sequence[Sent]) -> None:
        shares = [each.noise for each in sent if each.noise]
        if shares:
            self._measure({name: torch.stack([share[name] for share in shares]).sum(dim=0) for name in shares[0]})

    def step(self, state: State, combined: Combined, sent: Sequence[Sent]) -> dict[str, Tensor]:
        """The next model. A FedSGD server steps with the clients' optimiser; otherwise it adds the difference."""
        moved = dict(state)
        names = list(combined.update)
        if self._federation.algorithm == "fedsgd":
            held = [state[name] for name in names]
            memory = self._optimiser.start(held) if self._memory is None else self._memory
            stepped = self._optimiser.step(held, [combined.update[name] for name in names], memory)
            self._memory = stepped.memory
            moved |= dict(zip(names, stepped.parameters, strict=True))
        else:
            moved |= {name: state[name] + combined.update[name] for name in names}
        if sent and sent[0].buffers:
            moved |= combine_buffers([each.buffers for each in sent], [each.weight for each in sent])
        return moved

    def adapt(self, sent: Sequence[Sent], *, round: int) -> None:
        """Move the clipping norm towards the quantile of update norms that it aims at.

        Andrew et al., 2021, arXiv:1905.03871, algorithm 1.
        """
        norm = self.norm
        if norm is None or self._mechanism.clipping.kind != "adaptive":
            return
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "count-noise", round))
        noise = float(torch.randn((), generator=generator)) * self._mechanism.count_noise
        unclipped = sum(each.length is not None and each.length <= norm for each in sent)
        share = (unclipped + noise) / self._mechanism.cohort
        self.norm = norm * math.exp(-_NORM_RATE * (share - self._mechanism.quantile))


class NoiseTree:
    """Noise of prefix sums by the binary mechanism (Kairouz et al., 2021, arXiv:2103.00039, algorithm 1).

    The sum of the noise of the first t rounds is a sum of as many Gaussians as t has ones in binary.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._round = 0
        self._nodes: dict[int, dict[str, Tensor]] = {}

    def next(self, like: State, std: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Noise of the next round (the difference of two prefixes), and the fresh node behind it."""
        self._round += 1
        device = next(iter(like.values())).device
        generator = torch.Generator(device).manual_seed(derive_seed(self._seed, "tree", self._round))
        fresh = gaussian(like, std, generator)
        # Round t opens the node at the level of its lowest set bit; it replaces all nodes below.
        level = (self._round & -self._round).bit_length() - 1
        closed = [self._nodes.pop(below) for below in range(level) if below in self._nodes]
        self._nodes[level] = fresh
        return {name: fresh[name] - sum(node[name] for node in closed) for name in fresh}, fresh
