"""What an attack is: its needs, parameters, cost, and ``run``."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import Column, GivenPrior, SharedModel, State
from auditor.observations.records import Records
from auditor.observations.released import Observation
from auditor.observations.returned import AttackOutput


class AttackParams(BaseModel):
    """Base of an attack's parameters: frozen, unknown names refused, each field described."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Needs:
    """What must be granted and what the target must be like.

    Attributes:
        grants: All of these.
        one_of: At least one of these (empty = no such need).
        modalities, tasks: None = any.
        traits: Traits of :class:`TargetShape` that must be there, each with the reason to print when missing.
    """

    grants: frozenset[Grant]
    one_of: frozenset[Grant] = frozenset()
    modalities: frozenset[Modality] | None = None
    tasks: frozenset[Task] | None = None
    traits: dict[str, str] = field(default_factory=dict)

    def unmet(self, *, scenario: str, granted: frozenset[Grant], shape: TargetShape) -> list[str]:
        """Reasons why the attack does not apply; empty where it does."""
        reasons = [
            f"needs an adversary that {grant.words}; scenario '{scenario}' does not grant it"
            for grant in sorted(self.grants - granted)
        ]
        if self.one_of and not self.one_of & granted:
            names = " or ".join(grant.words for grant in sorted(self.one_of))
            reasons.append(f"needs an adversary that {names}; scenario '{scenario}' grants neither")
        if self.modalities is not None and shape.modality not in self.modalities:
            reasons.append(f"is for {_list(self.modalities)}; the target is {shape.modality.value}")
        if self.tasks is not None and shape.task not in self.tasks:
            reasons.append(f"is for {_list(self.tasks)}; the target's task is {shape.task.value}")
        reasons += [why for trait, why in self.traits.items() if trait not in shape.traits]
        return reasons


def _list(values: frozenset[Modality] | frozenset[Task]) -> str:
    return ", ".join(sorted(value.value for value in values))


@dataclass(frozen=True)
class Cost:
    """What an attack will use, before it runs.

    Attributes:
        gradient_evaluations: Forward-and-backward passes of one update's batch, second-order ones counted as 3.
        record_gradients: Gradients of single records, many at once.
        queries: Forward passes of one candidate.
        seconds: Work that no pass of the model measures (forests, linear algebra), on the machine on which
            :data:`auditor.engine.probe.REFERENCE` was measured.
        bytes: What it holds at once beyond the model and the records.
        reference_models: Reference models it reads (shared, trained once per run).
        least: Of :attr:`gradient_evaluations`, those without which its answer would be worth nothing; an attack that
            gives something at any time has none.
    """

    gradient_evaluations: int = 0
    queries: int = 0
    reference_models: int = 0
    least: int = 0
    record_gradients: int = 0
    seconds: float = 0.0
    bytes: int = 0

    def passes(self, records: int) -> int:
        """Gradient passes over batches of so many records, gradients of single records put together into batches."""
        return max(self.gradient_evaluations, -(-self.record_gradients // max(1, records)))


@dataclass(frozen=True)
class ReferenceModels:
    """Outputs of models that the adversary trained itself with the federation's recipe on data it holds.

    The training set of each is a random half of candidates + population, drawn without looking at
    membership in the target (paired complements are excluded).

    Attributes:
        outputs: ``(models, candidates, classes)``.
        losses: ``(models, candidates)``.
        included: ``(models, candidates)`` bool: was the candidate in that model's training set?
        population_outputs: ``(models, population, classes)``.
        population_losses: ``(models, population)``.
        population_included: ``(models, population)`` bool.
    """

    outputs: Tensor
    losses: Tensor
    included: Tensor
    population_outputs: Tensor
    population_losses: Tensor
    population_included: Tensor

    def __len__(self) -> int:
        return int(self.losses.shape[0])


@dataclass(frozen=True)
class Knowledge:
    """What the adversary knows beside its observation. A field is None where it was not granted.

    Attributes:
        model: Architecture, loss, preprocessing.
        population: Other records of the same kind.
        population_outputs, population_losses: What the audited model answers on them (needs queries).
        references: The adversary's own models.
        candidates: A finite prior: records of which exactly one stands behind the observation, in random order.
        prior: A decoder of such records that was trained elsewhere.
    """

    model: SharedModel
    population: Records | None = None
    population_outputs: Tensor | None = None
    population_losses: Tensor | None = None
    references: ReferenceModels | None = None
    candidates: Records | None = None
    prior: GivenPrior | None = None


@dataclass(frozen=True)
class RunContext:
    """Where and how long an attack may compute.

    Attributes:
        device: torch device.
        seed: For a generator of its own; nothing sets a global seed.
        deadline: ``time.monotonic()`` value after which the attack must return what it has, or None.
        progress: Called with a fraction in [0, 1].
        batched: How independent candidates are to be computed: as one tensor program or one after the other. The
            two round differently, so the engine measures once for a run; None leaves it to the attack.
        shortened: Reasons why the attack did less than its parameters ask, to be appended to by an attack that
            plans around the deadline; what was shortened is done again by a later run.
    """

    device: str = "cpu"
    seed: int = 0
    deadline: float | None = None
    progress: Callable[[float], None] = lambda fraction: None
    batched: bool | None = None
    shortened: list[str] = field(default_factory=list)

    def generator(self, *, device: str = "cpu") -> torch.Generator:
        """A generator seeded with :attr:`seed`."""
        return torch.Generator(device=device).manual_seed(self.seed)

    @property
    def out_of_time(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline


@dataclass(frozen=True)
class AlteredModel:
    """What a malicious server sends instead of the federation's model.

    Attributes:
        model: Architecture that the client computes with.
        state: Weights that it receives.
        for_client: Weights that the client at a place of a round receives (0-based), where the server sends each
            another one; None where all receive ``state``.
    """

    model: SharedModel
    state: State
    for_client: Callable[[int], State] | None = None


@runtime_checkable
class AltersModel(Protocol):
    """An attack of a malicious server. Its :attr:`Attack.needs` name ``alters_model``.

    The client's round is played with what :meth:`alter` returns; :meth:`Attack.run` then gets the update, and in
    ``known.model`` the altered model. ``alter`` depends on its arguments alone, so that it can be called again.
    """

    def alter(self, model: SharedModel, state: State, known: Knowledge, context: RunContext) -> AlteredModel:
        """The model and weights that the client receives in place of ``model`` and ``state``."""
        ...


@runtime_checkable
class AltersTraining(Protocol):
    """An attack that deviates from the protocol in some rounds of a training and reads the log of these.

    A malicious server (``alters_model``) sends what :meth:`altered` returns; a malicious client (``alters_update``)
    sends an update that moves the model there, as far as aggregation and clipping let it.
    """

    def worsened_rounds(self) -> int:
        """In how many rounds it deviates, at the end of the training."""
        ...

    def altered(self, state: State, candidates: Records, model: FunctionalModel, *, turn: int) -> dict[str, Tensor]:
        """The state wanted in place of ``state``; depends on its arguments alone.

        Args:
            state: What the federation's protocol would send.
            candidates: Records that are asked about.
            model: Architecture and loss.
            turn: How many rounds it has altered before this one.
        """
        ...


@runtime_checkable
class ReadsTraining(Protocol):
    """An :class:`AltersTraining` that takes a figure of its own from each update as it goes by."""

    def figure(
        self, before: State, updates: Sequence[State], candidates: Records, model: FunctionalModel, *, turn: int
    ) -> Tensor:
        """What each update says about each candidate, ``(updates, candidates)``; NaN where nothing was asked.

        Args:
            before: The altered state that the round began with.
            updates: Weights after minus weights before, as released.
            candidates: As :meth:`AltersTraining.altered` got them.
            model: Architecture and loss.
            turn: As :meth:`AltersTraining.altered` got it.
        """
        ...


@runtime_checkable
class AsksColumn(Protocol):
    """An attack that asks for one column of a table: it reads :class:`MaskedRecords`."""

    def asked_column(self, columns: Sequence[Column], population: Records) -> Column:
        """The column in question.

        Raises:
            AttackFailed: where there is none such.
        """
        ...


class AskedProperty(Protocol):
    """A yes-or-no question about a record."""

    def holds(self, records: Records) -> Tensor:
        """Bool, shape ``(records,)``."""
        ...


@runtime_checkable
class AsksProperty(Protocol):
    """An attack on the share of records with a property."""

    def asked_property(self, columns: Sequence[Column], population: Records) -> AskedProperty:
        """The property in question.

        Raises:
            AttackFailed: where there is none such.
        """
        ...


@runtime_checkable
class ReadsPrior(Protocol):
    """An attack on a finite prior: it reads :attr:`Knowledge.candidates`."""

    def prior_records(self) -> int:
        """How many candidates there are, the true record among them."""
        ...


class Attack(Protocol):
    """A technique. One public class a module, named after the technique, its paper in the docstring.

    Class attributes:
        name: ``family/technique``, e.g. ``inversion/gradient-matching``.
        title: Plain words for the report.
        paper: ``Authors, year, arXiv id, algorithm``.
        needs: See :class:`Needs`.
        revision: Part of the cache key; raise it when results change.
        Params: Parameters with defaults and the reason for each.
        observes: The observation types it reads.
        attack_class: EDPB class: ``membership``, ``attribute``, ``exfiltration``, ``regurgitation``,
            ``model_inversion`` or ``reconstruction``; or ``property``, which speaks of groups and is in no class.

    An attack without a published evaluation may carry ``experimental = True``: where it finds nothing, no verdict says
    so.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[Needs]
    revision: ClassVar[int]
    observes: ClassVar[tuple[type, ...]]
    attack_class: ClassVar[str]
    Params: ClassVar[type[AttackParams]]

    def __init__(self, params: AttackParams) -> None: ...

    def unmet(self, shape: TargetShape) -> list[str]:
        """Reasons beyond :attr:`needs` that follow from sizes and parameters; usually empty."""
        ...

    def cost(self, shape: TargetShape) -> Cost:
        """Work for one observation."""
        ...

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> AttackOutput:
        """Attack one observation.

        Raises:
            AttackFailed: with a reason to print.
        """
        ...
