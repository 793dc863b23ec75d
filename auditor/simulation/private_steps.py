"""Record-level DP-SGD in a client: Opacus clips, sums and adds noise; this project samples, steps and measures."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from opacus.optimizers import AdaClipDPOptimizer, DPOptimizer, DPPerLayerOptimizer
from opacus.utils.uniform_sampler import UniformWithReplacementSampler
from torch import Tensor

from auditor.core.seeds import derive_seed
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import Trained, batch_order, optimiser_of, with_proximal
from auditor.learning.randomness import seeded
from auditor.observations.model import LocalTraining, State
from auditor.observations.records import Records
from auditor.simulation.mechanisms import Mechanism
from auditor.simulation.meter import Meter, total_norm

_CLIP_RATE = 0.2
"""Step size of adaptive clipping (Andrew et al., 2021, section 3)."""
_RANGE = 1e4
CHUNK_VALUES = 2**27
"""Per-record gradients in memory at once: half a GiB of single precision."""


Weights = list[Any]
"""Parameters; Opacus hangs ``grad_sample`` and ``summed_grad`` on them, which their type does not know."""


def private_batches(n: int, recipe: LocalTraining, sampling: str | None, seed: int) -> list[Tensor]:
    """Which of a client's ``n`` records each step uses, drawn as ``privacy.sampling`` says the code does.

    ``poisson`` takes each record with probability batch size / n, so that a batch can be empty; ``fixed_size``
    draws without replacement; ``shuffled`` walks through a shuffle; ``full`` takes all.
    """
    if n == 0:
        return []
    generator = torch.Generator().manual_seed(derive_seed(seed, "sampling"))
    size = min(recipe.batch_size, n)
    match sampling:
        case "poisson":
            sampler = UniformWithReplacementSampler(
                num_samples=n, sample_rate=size / n, generator=generator, steps=recipe.steps
            )
            return [torch.tensor(indices, dtype=torch.int64) for indices in sampler]
        case "fixed_size":
            return [torch.randperm(n, generator=generator)[:size] for _ in range(recipe.steps)]
        case "full":
            return [torch.arange(n)] * recipe.steps
    return batch_order(n, recipe, seed)


def expected_batch(n: int, recipe: LocalTraining, sampling: str | None) -> int:
    """The fixed denominator of a private gradient: never the drawn size, which would depend on the data."""
    return n if sampling == "full" else min(recipe.batch_size, n)


class PrivateSteps:
    """DP-SGD (Abadi et al., 2016, arXiv:1607.00133, algorithm 1) on a client's records."""

    def __init__(self, model: FunctionalModel, mechanism: Mechanism, meter: Meter) -> None:
        self._model = model
        self._mechanism = mechanism
        self._meter = meter
        self._norms: dict[int, float] = {}

    def train(
        self,
        state: State,
        records: Records,
        recipe: LocalTraining,
        *,
        batches: Sequence[Tensor],
        client: int,
        seed: int,
    ) -> Trained:
        """One private step for each of ``batches``, empty ones included: their noise is added all the same."""
        module = self._model.load(state, training=True)
        named = dict(module.named_parameters())
        weights = [named[name] for name in self._model.trainable]
        expected = expected_batch(len(records), recipe, self._mechanism.privacy.sampling)
        private = self._optimizer(weights, expected, client, seed)
        start = [weight.detach().clone() for weight in weights]
        optimiser = optimiser_of(recipe)
        memory, losses, gradient = optimiser.start(start), [], tuple(torch.zeros_like(w) for w in start)
        with seeded(derive_seed(seed, "dropout"), device=self._model.device):
            for position, batch in enumerate(batches):
                found = self._gradient(private, weights, records[batch], probe=position == 0)
                losses += found.losses
                gradient = found.gradient
                held = [weight.detach() for weight in weights]
                # The pull towards the received model depends on no record, so it comes after the noise.
                pulled = with_proximal(gradient, held, start, recipe.proximal)
                stepped = optimiser.step(held, pulled, memory)
                memory = stepped.memory
                _assign(weights, stepped.parameters)
        self._norms[client] = float(private.max_grad_norm)
        return Trained(
            self._model.snapshot(),
            torch.stack(losses) if losses else start[0].new_zeros(0),
            dict(zip(self._model.trainable, gradient, strict=True)),
        )

    def _optimizer(self, weights: Weights, expected: int, client: int, seed: int) -> DPOptimizer:
        """Opacus' optimiser for the clipping kind; its inner optimiser never steps."""
        mechanism = self._mechanism
        generator = torch.Generator(self._model.device).manual_seed(derive_seed(seed, "noise"))
        inner = torch.optim.SGD(weights, lr=0.0)
        norm = self._norms.get(client, mechanism.norm)
        match mechanism.clipping.kind:
            case "per_layer":
                norms = [norm / math.sqrt(len(weights))] * len(weights)
                return DPPerLayerOptimizer(
                    inner,
                    noise_multiplier=mechanism.noise_multiplier,
                    max_grad_norm=norms,
                    expected_batch_size=expected,
                    generator=generator,
                )
            case "adaptive":
                return AdaClipDPOptimizer(
                    inner,
                    noise_multiplier=mechanism.noise_multiplier,
                    target_unclipped_quantile=mechanism.quantile,
                    clipbound_learning_rate=_CLIP_RATE,
                    max_clipbound=mechanism.norm * _RANGE,
                    min_clipbound=mechanism.norm / _RANGE,
                    unclipped_num_std=mechanism.count_noise,
                    max_grad_norm=norm,
                    expected_batch_size=expected,
                    generator=generator,
                )
        return DPOptimizer(
            inner,
            noise_multiplier=mechanism.noise_multiplier,
            max_grad_norm=norm,
            expected_batch_size=expected,
            generator=generator,
        )

    def _gradient(self, private: DPOptimizer, weights: Weights, batch: Records, *, probe: bool) -> "_Private":
        losses = self._clip_and_sum(private, weights, batch, probe=probe)
        norm = float(private.max_grad_norm)
        sums = [weight.summed_grad for weight in weights]
        private.add_noise()
        noise = [weight.grad - total for weight, total in zip(weights, sums, strict=True)]
        if self._mechanism.noise_multiplier:
            self._meter.noise(noise, norm=norm)
        private.scale_grad()
        gradient = tuple(weight.grad for weight in weights)
        if isinstance(private, AdaClipDPOptimizer) and len(batch):
            private.update_max_grad_norm()
        private.zero_grad(set_to_none=True)
        return _Private(gradient, losses)

    def _clip_and_sum(self, private: DPOptimizer, weights: Weights, batch: Records, *, probe: bool) -> list[Tensor]:
        """Sum of clipped per-record gradients into ``summed_grad``, in chunks that fit into memory."""
        if len(batch) == 0:
            # One zero gradient: the sum stays zero, and Opacus' optimisers all accept it.
            _clip(private, weights, [torch.zeros_like(weight).unsqueeze(0) for weight in weights])
            return []
        size = max(1, CHUNK_VALUES // sum(weight.numel() for weight in weights))
        state = {**dict(self._model.module.named_parameters()), **dict(self._model.module.named_buffers())}
        losses = []
        for start in range(0, len(batch), size):
            part = batch[slice(start, start + size)]
            found = self._model.per_record_evaluation(state, part, training=True)
            rows = [found.gradients[name] for name in self._model.trainable]
            if probe and start == 0:
                self._measure(private, weights, rows)
            _clip(private, weights, rows)
            losses.append(found.losses)
        return [torch.cat(losses).mean()]

    def _measure(self, private: DPOptimizer, weights: Weights, rows: list[Tensor]) -> None:
        """Clip the longest gradient alone and take its norm: what one record can add at most to the sum."""
        norms = torch.stack([row.flatten(1).norm(dim=1) for row in rows]).norm(dim=0)
        longest = int(norms.argmax())
        _clip(private, weights, [row[longest : longest + 1] for row in rows])
        self._meter.contribution(float(norms[longest]), float(total_norm(w.summed_grad for w in weights)))
        private.zero_grad(set_to_none=True)


class _Private(NamedTuple):
    gradient: tuple[Tensor, ...]
    losses: list[Tensor]


def _clip(private: DPOptimizer, weights: Weights, rows: list[Tensor]) -> None:
    for weight, row in zip(weights, rows, strict=True):
        weight.grad_sample = row
    private.clip_and_accumulate()


def _assign(weights: Weights, values: tuple[Tensor, ...]) -> None:
    with torch.no_grad():
        for weight, value in zip(weights, values, strict=True):
            weight.copy_(value)
