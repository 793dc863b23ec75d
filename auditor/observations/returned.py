"""What attacks return. No metric inside: truth and output meet in ``metrics``."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MembershipScores:
    """Scores of the candidate records; higher means more likely a member. Shape ``(candidates,)``.

    Attributes:
        agreement: Where the attack made a copy of the model: on records that nothing was learned from, does the copy
            answer as the model does, and does one learned without asking it? Bool, shape ``(records, 2)``.
    """

    scores: Tensor
    notes: tuple[str, ...] = ()
    agreement: Tensor | None = None


@dataclass(frozen=True)
class Reconstruction:
    """Reconstructed records.

    Attributes:
        inputs: Shape ``(k, *input_shape)`` in model units (tokens: int64 ids). ``k`` may differ from the
            number of true records; 0 rows = the attack reports that it recovered nothing.
        labels: Shape ``(k,)`` or None.
        confidence: Shape ``(k,)``: the attack's own statement, higher = surer; None where it has none.
        objective: Final matching loss, for information.
        prior_samples: What the attack's model of other records makes up without any update, shape
            ``(m, *input_shape)``; None where the attack has no such model. They count as a guess without attack.
    """

    inputs: Tensor
    labels: Tensor | None = None
    confidence: Tensor | None = None
    objective: float | None = None
    iterations: int = 0
    notes: tuple[str, ...] = ()
    prior_samples: Tensor | None = None


@dataclass(frozen=True)
class RecoveredLabels:
    """How many records of each class the attack says stand behind an update. Shape ``(classes,)``, int64."""

    counts: Tensor
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attributions:
    """A score for each answer the attack may give about each candidate; higher means more likely.

    Attributes:
        scores: Shape ``(candidates, answers)``.
        choices: What each answer is, e.g. a client's number or a category's.
    """

    scores: Tensor
    choices: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class InferredShare:
    """Share of the records behind an update that have a property.

    Attributes:
        share: In [0, 1].
        guess: Without the update, from other records of the same kind.
    """

    share: float
    guess: float
    notes: tuple[str, ...] = ()


AttackOutput = MembershipScores | Reconstruction | RecoveredLabels | Attributions | InferredShare
