"""The models of a run: the audited one, and those that an adversary trains for comparison."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from auditor.config.settings import AuditSettings, FederationSettings, PartitionSettings
from auditor.core.errors import AuditorError
from auditor.core.seeds import derive_seed
from auditor.engine.game import Game, membership_game, reference_row
from auditor.engine.memory import in_halves
from auditor.engine.packing import pack
from auditor.engine.practice import measured_to_json
from auditor.engine.units import Unit
from auditor.learning.choice import Choice
from auditor.learning.functional import FunctionalModel
from auditor.learning.losses import cross_entropy, untied_cross_entropy
from auditor.observations.model import State
from auditor.observations.records import Records
from auditor.simulation.lockstep import train_federations
from auditor.simulation.rounds import train_federation
from auditor.targets.target import Target

CHUNK = 1024
"""Records in one forward pass; fewer where memory does not suffice."""


class Models:
    """Trains models and asks them.

    Args:
        target: The truth.
        device: torch device.
    """

    def __init__(self, target: Target, settings: AuditSettings, *, device: str) -> None:
        self._target = target
        self._settings = settings
        self._device = device

    @cached_property
    def audited(self) -> FunctionalModel:
        """The audited model as a pure function."""
        return FunctionalModel(self._target.model, device=self._device)

    @cached_property
    def game(self) -> Game:
        """Candidates of membership attacks."""
        return membership_game(self._target, seed=self._settings.audit.seed)

    def initial(self) -> State:
        """Weights of round 0."""
        return self.audited.initial_state(derive_seed(self._settings.audit.seed, "initial"))

    def train(self, unit: Unit) -> bytes:
        """The audited model: the given weights, or the result of the whole federation.

        Raises:
            AuditorError: where the training diverges.
        """
        if unit.details["given"]:
            if self._target.weights is None:
                raise AuditorError("The weights of the target are missing.", remedy="Check target.weights.")
            return pack(self._target.weights, {"type": "state"})
        trained = train_federation(
            self._settings.federation,
            self._settings.privacy,
            self._target.model,
            self._target.members,
            groups=self._target.member_groups,
            seed=unit.seed,
            initial=self._first(unit),
            device=self._device,
        )
        require_finite(trained.state, "the training of the audited model")
        return pack(trained.state, {"type": "state", "mechanism": measured_to_json(trained.mechanism)})

    def _first(self, unit: Unit) -> State:
        """Weights of round 0; a further training has its own."""
        if "training" not in unit.details:
            return self.initial()
        return self.audited.initial_state(derive_seed(unit.seed, "initial"))

    def references(self, unit: Unit) -> bytes:
        """Train models as the adversary would, and keep what they answer, not their weights.

        Raises:
            AuditorError: where a training diverges.
        """
        candidates, population = self.game.candidates, self._target.population
        pool = Records(
            torch.cat([candidates.inputs, population.inputs]), torch.cat([candidates.labels, population.labels])
        )
        how = Choice(unit.details["how"], "measured for this run")
        indices = [int(index) for index in unit.details["indices"]]

        def trained(some: Sequence[int]) -> list[State]:
            done = train_federations(
                _without_column(self._settings.federation),
                self._settings.privacy,
                self._target.model,
                pool,
                [self._row(index).nonzero().squeeze(1) for index in some],
                seeds=[derive_seed(unit.seed, index) for index in some],
                device=self._device,
                how=how,
            )
            return [one.state for one in done.results]

        states = in_halves(trained, indices, device=self._device)
        for state in states:
            require_finite(state, "the training of a reference model")
        answers = [self.answers(state, pool) for state in states]
        tensors = {
            "outputs": torch.stack([outputs for outputs, _ in answers]),
            "losses": torch.stack([losses for _, losses in answers]),
            "included": torch.stack([self._row(index) for index in indices]),
        }
        return pack(tensors, {"candidates": len(candidates)})

    def _row(self, index: int) -> Tensor:
        return reference_row(
            index,
            candidates=len(self.game.candidates),
            population=len(self._target.population),
            members=len(self._target.members),
            seed=self._settings.audit.seed,
        )

    def answers(self, state: State, records: Records) -> tuple[Tensor, Tensor]:
        """Outputs and per-record losses, in chunks; on the CPU."""
        chunks = range(0, len(records), CHUNK)
        parts = [self._chunk(state, records[slice(start, start + CHUNK)]) for start in chunks]
        return torch.cat([outputs for outputs, _ in parts]), torch.cat([losses for _, losses in parts])

    def _chunk(self, state: State, records: Records) -> tuple[Tensor, Tensor]:
        def asked(some: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
            with torch.no_grad():
                part = records[slice(some[0], some[-1] + 1)].to(self._device)
                outputs = self.audited.outputs(state, part.inputs)
                losses = self._losses(outputs, part.labels)
            if self._settings.target.task == "language_model":
                return [(-losses.unsqueeze(1), losses)]
            return [(outputs.cpu(), losses)]

        parts = in_halves(asked, range(len(records)), device=self._device)
        return torch.cat([outputs for outputs, _ in parts]), torch.cat([losses for _, losses in parts])

    def _losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Loss of each record; cross-entropy in a form in which records that are fitted well do not all tie at zero."""
        if self.audited.shared.loss is cross_entropy and outputs.dim() == 2:
            return untied_cross_entropy(outputs.cpu(), labels.cpu())
        return self.audited.loss(outputs, labels).cpu()


def _without_column(federation: FederationSettings) -> FederationSettings:
    """The adversary does not know which client a record of its own would belong to."""
    if federation.partition.scheme != "by_column":
        return federation
    return federation.model_copy(update={"partition": PartitionSettings(scheme="iid")})


def require_finite(state: State, what: str) -> None:
    """Refuse weights that are not numbers.

    Raises:
        AuditorError: which names the usual cause.
    """
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise AuditorError(
            f"Loss is not a number in {what}: weights such as {bad[0]!r} are no longer finite.",
            remedy="Lower federation.local.learning_rate, or check the scale of the data (target.data.normalise).",
        )
