"""Records from a checkpoint that a client stored: its weights and the memory of its optimiser."""

from dataclasses import replace
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.handing_on import hand_on, inner_cost
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.model import State
from auditor.observations.released import ClientUpdate, Observation, StolenCheckpoint
from auditor.observations.returned import Reconstruction

_ADAM = 0.9


class _Read(NamedTuple):
    """A checkpoint read as an update, and how, in words."""

    update: ClientUpdate
    how: str


class StolenCheckpointInversion:
    """What a client keeps between steps is an update that nobody aggregated.

    Three readings, in the order of what they say. (1) The optimiser's first moment after one step is the gradient
    itself (times 1 - beta for Adam), and heavy-ball SGD gives away the weights before the step as well,
    ``before = after + rate * moment``, so no other file is needed. (2) Weights before and after are a weight
    difference, whose local steps are unrolled. (3) The moment after several steps is a mean of their gradients, the
    late ones counted most. The update then goes to the closed forms or to gradient matching (Geiping et al., 2020,
    arXiv:2003.14053, section 5). With Adam a difference hides the gradient's size in each coordinate, so its moment
    is read where there is one.
    """

    name: ClassVar[str] = "inversion/stolen-checkpoint"
    title: ClassVar[str] = "Records from a client's stored checkpoint"
    paper: ClassVar[str] = "Geiping et al., 2020, arXiv:2003.14053, section 5; Phong et al., 2018, IEEE TIFS 13(5)"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.CHECKPOINT}),
        traits={"continuous_input": "the input is not continuous (tokens cannot be moved by a gradient)"},
    )
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (StolenCheckpoint,)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults as for gradient matching."""

        iterations: Annotated[int, Field(ge=1)] = Field(500, description="Of gradient matching, where it is used.")

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        return []

    def cost(self, shape: TargetShape) -> Cost:
        return inner_cost(shape, iterations=self.params.iterations)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """As many records as the client trained on.

        Raises:
            AttackFailed: where neither the weights before nor a moment of the optimiser is held.
        """
        if not isinstance(seen, StolenCheckpoint):
            raise AttackFailed(f"a stored checkpoint is needed; a {type(seen).__name__} was observed")
        read = as_client_update(seen)
        handed = hand_on(read.update, known, context, iterations=self.params.iterations)
        return replace(handed.found, notes=(f"Read {read.how}; inverted by {handed.by}.", *handed.found.notes))


def as_client_update(seen: StolenCheckpoint) -> _Read:
    """The reading of a checkpoint that says most.

    Raises:
        AttackFailed: where there is nothing to compare the weights with.
    """
    adam, one = seen.local.optimizer == "adam", seen.local.steps <= 1
    if seen.momentum is not None and (one or adam or seen.before is None):
        return _from_moment(seen, seen.momentum, adam=adam)
    if seen.before is None:
        raise AttackFailed("the checkpoint holds weights alone; without those before the training nothing can be read")
    moved = (name for name, value in seen.after.items() if value.is_floating_point() and not _is_buffer(name))
    difference = {name: seen.after[name] - seen.before[name] for name in moved}
    return _Read(_update(seen, seen.before, difference, "difference"), "the difference of two stored states")


def _from_moment(seen: StolenCheckpoint, moment: State, *, adam: bool) -> _Read:
    """The mean gradient that the moment amounts to."""
    steps = max(1, seen.local.steps)
    beta = _ADAM if adam else seen.local.momentum
    weight = 1 - beta**steps if adam else sum(beta**k for k in range(steps))
    gradient = {name: value / weight for name, value in moment.items()}
    before = seen.before if seen.before is not None else _undone(seen, moment, adam=adam)
    note = "the optimiser's moment as the gradient of one step"
    if steps > 1:
        note = f"the optimiser's moment as the mean of {steps} gradients, late ones counted most"
    return _Read(replace(_update(seen, before, gradient, "gradient"), local=replace(seen.local, steps=1)), note)


def _undone(seen: StolenCheckpoint, moment: State, *, adam: bool) -> State:
    """The weights before the last step; those after it where the step cannot be taken back."""
    if adam:
        return dict(seen.after)
    rate = seen.local.learning_rate
    return {name: value + rate * moment[name] if name in moment else value for name, value in seen.after.items()}


def _update(seen: StolenCheckpoint, before: State, update: State, kind: str) -> ClientUpdate:
    return ClientUpdate(
        round=0,
        before=before,
        update=update,
        kind=kind,
        records=max(1, seen.records),
        local=seen.local,
        privatisation=seen.privatisation,
    )


def _is_buffer(name: str) -> bool:
    return name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
