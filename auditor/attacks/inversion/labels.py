"""Recovery of the labels behind an update."""

from typing import ClassVar

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.evidence import as_update
from auditor.attacks.inversion.label_counts import recover_counts
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape, Task
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import RecoveredLabels


class LabelRecovery:
    """Class counts from the gradient of the classifier head.

    One record: sign rule (Zhao et al., 2020, arXiv:2001.02610). Several: a linear system of the head's bias
    gradient with the predictions of proxies (Ma et al., ICLR 2023). Weight differences of several local steps are
    read as a mean gradient, with predictions averaged over the states before and after.
    """

    name: ClassVar[str] = "inversion/labels"
    title: ClassVar[str] = "Which labels stand behind an update"
    paper: ClassVar[str] = "Zhao et al., 2020, arXiv:2001.02610; Ma et al., ICLR 2023 (iLRG)"
    needs: ClassVar[Needs] = Needs(
        frozenset(),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE}),
        tasks=frozenset({Task.CLASSIFICATION}),
    )
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "attribute"

    class Params(AttackParams):
        """No choices: every rule follows from what was granted."""

    def __init__(self, params: AttackParams) -> None:
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        return ["is for a softmax over at least two classes"] if shape.classes < 2 else []

    def cost(self, shape: TargetShape) -> Cost:
        return Cost(gradient_evaluations=1)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> RecoveredLabels:
        """Class counts of the records behind ``seen``; they add up to its number of records."""
        found = recover_counts(as_update(seen), known, seed=context.seed)
        return RecoveredLabels(found.counts, (f"Rule: {found.rule}.",))
