"""The target of an audit: the user's model and data. It holds the truth and never reaches an attack."""

from dataclasses import dataclass

from torch import Tensor

from auditor.core.results import SplitSummary, TargetSummary
from auditor.observations.model import GivenPrior, SharedModel, State
from auditor.observations.records import Records
from auditor.targets.code import Named


@dataclass(frozen=True)
class Target:
    """Model, weights and data, ready to be audited.

    Attributes:
        model: What every participant of the federation knows.
        weights: The deployed weights; None where only a freshly trained model is audited.
        members: Records that train the model.
        nonmembers: Records of the same kind that do not.
        population: Records that an adversary may hold; in neither of the two.
        member_groups: Client of each member, shape ``(members,)`` int64, where the partition is by column.
        splits: Size, hash and origin of each split.
        facts: What was recognised and chosen while loading; free of data.
        warnings: What limits the audit; free of data.
        layers: Leaf layers by class name, with how many of each, in the order of the model.
        model_name: As written in the settings.
        model_sha256, weights_sha256: Of the files.
        prior: A decoder of records that an adversary may have, or None.
        private_step: The user's own private step, where an audit of epsilon is to play it.
    """

    model: SharedModel
    weights: State | None
    members: Records
    nonmembers: Records
    population: Records
    member_groups: Tensor | None
    splits: tuple[SplitSummary, ...]
    facts: tuple[str, ...]
    warnings: tuple[str, ...]
    layers: dict[str, int]
    model_name: str
    model_sha256: str
    weights_sha256: str | None
    private_step: Named | None = None
    prior: GivenPrior | None = None

    def summary(self, utility: dict[str, float]) -> TargetSummary:
        """What ``results.json`` says of the target; ``utility`` are figures such as ``accuracy_members``."""
        return TargetSummary(
            model=self.model_name,
            model_sha256=self.model_sha256,
            weights_sha256=self.weights_sha256,
            layers=self.layers,
            shape=self.model.shape,
            splits=self.splits,
            facts=self.facts,
            warnings=self.warnings,
            utility=utility,
        )
