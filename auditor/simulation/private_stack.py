"""DP-SGD of many clients at once; the same clipping and the same noise as one after the other through Opacus."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from auditor.core.seeds import derive_seed
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import Trained
from auditor.learning.per_record import math_attention, refuse_mixing
from auditor.learning.randomness import seeded
from auditor.learning.stack import Batches, GradientOf, Stack, StackGradient, run_stack
from auditor.observations.model import LocalTraining, State
from auditor.observations.records import Records
from auditor.simulation.mechanisms import Mechanism
from auditor.simulation.meter import Meter
from auditor.simulation.private_steps import expected_batch

_SMALL = 1e-6
"""Added to a norm before dividing by it, as Opacus does."""


@dataclass(frozen=True)
class PrivateJob:
    """One client's round.

    Attributes:
        state: What it received.
        batches: Indices into the shared records, one tensor a step; empty ones are steps of noise alone.
        records: How many records it holds.
        seed: Of this client in this round.
        meter: Of its federation.
    """

    state: State
    batches: Sequence[Tensor]
    records: int
    seed: int
    meter: Meter


def why_not_private_stack(mechanism: Mechanism) -> str:
    """Why DP-SGD cannot be stacked; empty where it can."""
    if mechanism.clipping.kind == "adaptive":
        return "adaptive clipping gives each client a norm of its own"
    return ""


def train_private_stack(
    model: FunctionalModel,
    jobs: Sequence[PrivateJob],
    records: Records,
    recipe: LocalTraining,
    mechanism: Mechanism,
    *,
    seed: int,
) -> list[Trained]:
    """What :class:`auditor.simulation.private_steps.PrivateSteps` gives for each job, up to rounding.

    Args:
        model: With the federation's BatchNorm behaviour.
        jobs: Clients, of any federations with these settings.
        records: Shared by all jobs.
        recipe: Shared by all jobs.
        mechanism: Shared by all jobs.
        seed: For dropout.
    """
    if not jobs:
        return []
    with seeded(seed, device=model.device), math_attention():
        found = run_stack(
            model,
            [job.state for job in jobs],
            [job.batches for job in jobs],
            recipe,
            _private_gradient(model, jobs, records, recipe, mechanism),
        )
    return [_without_empty_steps(each, job) for each, job in zip(found, jobs, strict=True)]


def _without_empty_steps(found: Trained, job: PrivateJob) -> Trained:
    """A step without records has no loss."""
    taken = torch.tensor([len(batch) > 0 for batch in job.batches], dtype=torch.bool, device=found.losses.device)
    return found._replace(losses=found.losses[taken])


def _private_gradient(
    model: FunctionalModel,
    jobs: Sequence[PrivateJob],
    records: Records,
    recipe: LocalTraining,
    mechanism: Mechanism,
) -> GradientOf:
    sampling = mechanism.privacy.sampling
    sizes = [expected_batch(job.records, recipe, sampling) for job in jobs]
    generators = [torch.Generator(model.device).manual_seed(derive_seed(job.seed, "noise")) for job in jobs]
    each = _record_gradients(model)
    measured: set[int] = set()

    def gradient_of(stack: Stack, rows: Sequence[int], batches: Sequence[Tensor]) -> StackGradient:
        named = dict(zip(model.trainable, stack.parameters, strict=True))
        side = Batches.of(model, records, batches)
        found, losses = each(named, stack.rest, side.inputs, side.labels)
        gradients = [found[name].detach() for name in model.trainable]
        factors = clip_factors(gradients, mechanism, real=side.real)
        for position, row in enumerate(rows):
            if row not in measured and len(batches[position]):
                measured.add(row)
                _measure(jobs[row].meter, [g[position] for g in gradients], [f[position] for f in factors])
        noise = _noise(stack, rows, generators, mechanism.sum_noise_std)
        sums = [torch.einsum("kb,kb...->k...", f, g) for f, g in zip(factors, gradients, strict=True)]
        if mechanism.sum_noise_std:
            squares = torch.stack([n.flatten(1).square().sum(dim=1) for n in noise]).sum(dim=0).tolist()
            values = sum(n[0].numel() for n in noise)
            for row, total in zip(rows, squares, strict=True):
                jobs[row].meter.noise_squares(total, values, norm=mechanism.norm)
        expected = torch.tensor([float(sizes[row]) for row in rows], dtype=model.dtype, device=model.device)
        private = [(s + n) / _spread(expected, s) for s, n in zip(sums, noise, strict=True)]
        means = (losses.detach() * side.real).sum(dim=1) / side.real.sum(dim=1)
        return StackGradient(private, means, stack.rest)

    return gradient_of


_RecordGradients = Callable[..., tuple[dict[str, Tensor], Tensor]]


def _record_gradients(model: FunctionalModel) -> _RecordGradients:
    """Gradients ``(models, records, *parameter)`` and losses ``(models, records)``."""

    def one(parameters: dict[str, Tensor], rest: dict[str, Tensor], inputs: Tensor, label: Tensor) -> Tensor:
        outputs = functional_call(model.module, {**parameters, **rest}, (inputs.unsqueeze(0),))
        return model.loss(outputs, label.unsqueeze(0)).squeeze(0)

    refuse_mixing(model)
    model.set_mode(training=True)
    records = vmap(grad_and_value(one), in_dims=(None, None, 0, 0), randomness="different")
    models: _RecordGradients = vmap(records, randomness="different")
    return models


def clip_factors(gradients: Sequence[Tensor], mechanism: Mechanism, *, real: Tensor) -> list[Tensor]:
    """What each record's gradient is multiplied with, for each tensor; 0 for records that only fill up.

    Args:
        gradients: Each ``(models, records, *parameter)``.
        mechanism: Norm and kind of clipping.
        real: bool ``(models, records)``.
    """
    norms = [g.flatten(2).norm(dim=2) for g in gradients]
    if mechanism.clipping.kind == "per_layer":
        bound = mechanism.norm / math.sqrt(len(gradients))
        return [(bound / (norm + _SMALL)).clamp(max=1.0) * real for norm in norms]
    total = torch.stack(norms).norm(dim=0)
    return [(mechanism.norm / (total + _SMALL)).clamp(max=1.0) * real] * len(gradients)


def _noise(stack: Stack, rows: Sequence[int], generators: Sequence[torch.Generator], std: float) -> list[Tensor]:
    """Noise on the sums; each client draws from its own generator, tensor by tensor, as Opacus does."""
    if not std:
        return [torch.zeros_like(p) for p in stack.parameters]
    drawn = [
        [
            torch.normal(0.0, std, p.shape[1:], generator=generators[row], device=p.device, dtype=p.dtype)
            for p in stack.parameters
        ]
        for row in rows
    ]
    return [torch.stack(list(tensors)) for tensors in zip(*drawn, strict=True)]


def _measure(meter: Meter, gradients: Sequence[Tensor], factors: Sequence[Tensor]) -> None:
    """The longest gradient of a client's first batch, before and after clipping."""
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0) * (factors[0] > 0)
    longest = int(norms.argmax())
    clipped = torch.stack([(g[longest] * f[longest]).norm() for g, f in zip(gradients, factors, strict=True)])
    meter.contribution(float(norms[longest]), float(clipped.norm()))


def _spread(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *([1] * (like.dim() - 1)))
