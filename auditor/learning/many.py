"""Train many models of one architecture at once: a stack of states, one vectorised program."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from auditor.learning.functional import FunctionalModel
from auditor.learning.local import Trained, train_locally, usable_batches
from auditor.learning.per_record import math_attention
from auditor.learning.randomness import seeded
from auditor.learning.stack import Batches, GradientOf, Stack, StackGradient, run_stack
from auditor.observations.model import LocalTraining, State
from auditor.observations.records import Records

TOLERANCE = 2e-4
"""Largest difference of a parameter between the vectorised and the serial path that the probe accepts.

Both compute the same sums in another order; in single precision, after a few steps, they differ by at most this
(measured for MLPs and CNNs of up to 30,000 parameters; mostly 1e-6).
"""


@dataclass(frozen=True)
class Job:
    """One model to train.

    Attributes:
        state: Where it starts.
        batches: Indices into the shared records, one tensor a step.
        seed: For dropout on the serial path.
    """

    state: State
    batches: Sequence[Tensor]
    seed: int | None = None


def train_stacked(
    model: FunctionalModel,
    jobs: Sequence[Job],
    records: Records,
    recipe: LocalTraining,
    *,
    seed: int | None = None,
) -> list[Trained]:
    """The results of :func:`auditor.learning.local.train_locally` for each job, computed as one tensor program.

    Equal to the serial path within :data:`TOLERANCE`; with dropout in distribution only, for the masks differ.
    Jobs may have different numbers of steps and batch sizes: short batches are padded with records of weight zero,
    which is exact unless BatchNorm mixes the records of a batch (see :func:`why_not_stacked`).

    Args:
        model: The shared model.
        jobs: What to train.
        records: Shared by all jobs.
        recipe: Shared by all jobs.
        seed: For dropout; None = torch's own generator.
    """
    if not jobs:
        return []
    model = model.with_batch_norm(recipe.batch_norm)
    plans = [usable_batches(model, job.batches) for job in jobs]
    with seeded(seed, device=model.device), math_attention():
        return run_stack(model, [job.state for job in jobs], plans, recipe, _mean_gradient(model, records))


def why_not_stacked(model: FunctionalModel, jobs: Sequence[Job], recipe: LocalTraining) -> str:
    """Why the vectorised path would not compute the same; empty where it would."""
    model = model.with_batch_norm(recipe.batch_norm)
    if not model.mixes_records:
        return ""
    plans = [usable_batches(model, job.batches) for job in jobs]
    steps = zip_longest(*([len(batch) for batch in plan] for plan in plans))
    if any(len(set(sizes) - {None}) > 1 for sizes in steps):
        return "BatchNorm in train mode needs batches of equal size"
    return ""


def train_serially(
    model: FunctionalModel, jobs: Sequence[Job], records: Records, recipe: LocalTraining
) -> list[Trained]:
    """Job after job with the scratch module."""
    return [train_locally(model, job.state, records, recipe, batches=job.batches, seed=job.seed) for job in jobs]


def _mean_gradient(model: FunctionalModel, records: Records) -> GradientOf:
    """Gradient of each model's mean loss on its own batch."""

    def loss(
        parameters: dict[str, Tensor], rest: dict[str, Tensor], inputs: Tensor, labels: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        moving = {name: tensor.clone() for name, tensor in rest.items()}
        outputs = functional_call(model.module, {**parameters, **moving}, (inputs,))
        return (model.loss(outputs, labels) * weights).sum(), moving

    model.set_mode(training=True)
    each = vmap(grad_and_value(loss, has_aux=True), randomness="different")

    def gradient_of(stack: Stack, rows: Sequence[int], batches: Sequence[Tensor]) -> StackGradient:
        named = dict(zip(model.trainable, stack.parameters, strict=True))
        side = Batches.of(model, records, batches)
        weights = side.real / side.real.sum(dim=1, keepdim=True).to(model.dtype)
        found, (losses, rest) = each(named, stack.rest, side.inputs, side.labels, weights)
        return StackGradient([found[name].detach() for name in model.trainable], losses.detach(), rest)

    return gradient_of
