"""Independent problems of one shape: as one tensor program, or one after the other.

Which is faster depends on model and device, so it is measured, once for each run folder, and kept in its lock: the two
ways round differently, and a run that goes on elsewhere or with another executor must give the same bits.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from auditor.config.settings import AuditSettings, FederationSettings, ParticipationSettings, PartitionSettings
from auditor.core.errors import AuditorError
from auditor.core.seeds import derive_seed
from auditor.engine.environment import computing
from auditor.engine.memory import GIB, model_bytes, resident_bytes, worker_share
from auditor.learning.choice import STACK, Choice, choose_path
from auditor.learning.factored import FactoredGradients
from auditor.learning.functional import FunctionalModel
from auditor.learning.sums import inner_and_energy
from auditor.observations.records import Records
from auditor.simulation.lockstep import measured_choice
from auditor.targets.target import Target

How = Literal["stacked", "serial"]

BLOCK = 8
"""Reference models in one unit where they train as one program: more would lose more to an interruption."""

_CANDIDATES = 4
_RECORDS = 8
_STEPS = 3


@dataclass(frozen=True)
class Paths:
    """How this run computes.

    Attributes:
        references: How reference models train.
        candidates: How an inversion moves its candidates.
        references_because, candidates_because: What was measured, in words.
    """

    references: How
    candidates: How
    references_because: str = ""
    candidates_because: str = ""

    def to_json(self) -> dict[str, str]:
        """For the lock and for the environment in the results."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, str]) -> "Paths":
        """The paths of a lock."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__})  # type: ignore[arg-type]

    @property
    def block(self) -> int:
        """Reference models in one unit."""
        return BLOCK if self.references == "stacked" else 1


def measure_paths(target: Target, settings: AuditSettings, *, device: str, references: int) -> Paths:
    """Time both ways on a few steps of the run's own work.

    Args:
        references: Reference models that the run will train.
    """
    if settings.compute.vectorise != "auto":
        how: How = "stacked" if settings.compute.vectorise == "always" else "serial"
        return Paths(how, how, "as set in compute.vectorise", "as set in compute.vectorise")
    share = worker_share(settings, device=device)
    stack = model_bytes(target.model.shape, models=min(STACK, BLOCK * settings.federation.clients))
    if share is not None and share < resident_bytes() + stack:
        why = f"a stack of models needs {stack / GIB:.2f} GiB more, which budget.memory does not leave"
        return Paths("serial", "serial", why, why)
    with computing(device):
        models = _reference_path(target, settings, device=device) if references > 1 else Choice("serial", "not needed")
        candidates = _candidate_path(target, device=device)
    return Paths(models.how, candidates.how, models.reason, candidates.reason)


def _reference_path(target: Target, settings: AuditSettings, *, device: str) -> Choice:
    """A round of a few local steps for each client of a few federations."""
    federation = _short(settings.federation)
    wanted = federation.clients * federation.local.batch_size * _STEPS
    generator = torch.Generator().manual_seed(derive_seed(settings.audit.seed, "paths"))
    rows = [torch.randperm(len(target.members), generator=generator)[:wanted] for _ in range(BLOCK)]
    try:
        return measured_choice(
            federation,
            settings.privacy,
            target.model,
            target.members,
            rows,
            seeds=list(range(BLOCK)),
            device=device,
        )
    except (AuditorError, RuntimeError) as error:
        return Choice("serial", f"a trial in one program ended with {type(error).__name__}")


def _short(federation: FederationSettings) -> FederationSettings:
    return federation.model_copy(
        update={
            "rounds": 1,
            "participation": ParticipationSettings(),
            "partition": PartitionSettings(),
            "local": federation.local.model_copy(update={"epochs": 1}),
        }
    )


def _candidate_path(target: Target, *, device: str) -> Choice:
    """Gradients of a gradient's square, in the inputs: what an inversion computes in each step."""
    if not target.members.inputs.is_floating_point():
        return Choice("serial", "inputs are not continuous")
    model = FunctionalModel(target.model, device=device)
    state = model.initial_state(0)
    records = target.members[: min(_RECORDS, max(1, target.model.shape.records_per_update))].to(device)
    start = records.inputs.expand(_CANDIDATES, *records.inputs.shape).clone()

    def objective(inputs: Tensor) -> Tensor:
        def mean_loss(own: dict[str, Tensor]) -> Tensor:
            return model.losses({**state, **own}, Records(inputs, records.labels)).mean()

        slopes = grad(mean_loss)({name: state[name] for name in model.parameter_names})
        return torch.stack([slope.square().sum() for slope in slopes.values()]).sum()

    def serial(rows: int) -> list[dict[str, Tensor]]:
        with sdpa_kernel(SDPBackend.MATH):
            return [{"inputs": grad(objective)(one)} for one in start[:rows]]

    def stacked(rows: int) -> list[dict[str, Tensor]]:
        if factored is not None:
            inputs = start[:rows].clone().requires_grad_()
            made = factored(inputs, records.labels.expand(rows, *records.labels.shape))
            energies = [inner_and_energy(one, state[name])[1].sum() for name, one in made.items()]
            return [{"inputs": one} for one in torch.autograd.grad(torch.stack(energies).sum(), inputs)[0]]
        with sdpa_kernel(SDPBackend.MATH):
            return [{"inputs": one} for one in vmap(grad(objective), randomness="different")(start[:rows])]

    if not model.parameter_names:
        return Choice("serial", "the model has no trainable parameter")
    factored = FactoredGradients.where_exact(model, state, model.parameter_names, records)
    return choose_path(serial, stacked, rows=_CANDIDATES, device=device, random=model.drops_out)
