"""How often an attack picks the true answer among several, beside a guess by the commonest one."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier
from torch import Tensor

from auditor.core.measurement import Interval, Measurement
from auditor.metrics.clustered import mean_interval
from auditor.metrics.intervals import clopper_pearson
from auditor.metrics.shift import blind_features
from auditor.observations.records import Records
from auditor.observations.returned import Attributions, InferredShare

COMMONEST = "always the commonest answer"
BLIND = "a classifier on inputs and labels that never saw the model"
IMPUTED = "imputation from other records, without the model"


def measure_gain(found: Attributions, baseline: Attributions, truth: Tensor) -> Measurement:
    """Accuracy of the attack minus that of a baseline on the same records, with an exact paired interval.

    Given how many records only one of the two answers rightly, the attack's share of these is binomial (McNemar, 1947).

    Args:
        found: The attack's scores.
        baseline: Scores without access to the model.
        truth: The true answers, shape ``(candidates,)``.
    """
    attack, blind = right_answers(found, truth), right_answers(baseline, truth)
    won, lost, n = int((attack & ~blind).sum()), int((blind & ~attack).sum()), len(truth)
    share = clopper_pearson(won, won + lost)
    scale = (won + lost) / n
    return Measurement(
        metric="accuracy_gain",
        value=(won - lost) / n,
        unit="fraction",
        interval=Interval(
            low=(2 * share.low - 1) * scale,
            high=(2 * share.high - 1) * scale,
            level=share.level,
            method="Clopper-Pearson on the records where only one is right",
            over="records",
        ),
        n=n,
        n_of="records",
        floor=0.0,
        floor_is="the same guess without the model",
        method="accuracy of the attack minus that of imputation without the model, paired (McNemar, 1947)",
    )


def measure_source(
    found: Attributions, records: Records, owner: Tensor, asked: Tensor, *, seed: int
) -> tuple[Measurement, ...]:
    """Whose record is it? For records that a client holds; beside it a guess without the model, and a control.

    Args:
        found: Scores of each client, for records that somebody holds and for others.
        records: The same records.
        owner: The true client; negative where nobody holds the record.
        asked: For these, a client drawn like the owners are spread: nothing can be found there.
        seed: Of the classifier's folds.
    """
    inside = owner >= 0
    blind = _blind_source(records[inside], owner[inside], seed=seed)
    commonest = _commonest(owner[inside])
    reached = float(blind.double().mean())
    floor, how = max((commonest, COMMONEST), (reached, BLIND))
    return (
        *measure_choices(_some(found, inside), owner[inside], floor=floor, floor_is=how),
        *(_beside(m, "control") for m in measure_choices(_some(found, ~inside), asked[~inside])),
        _beside(_accuracy(blind, floor=commonest, floor_is=COMMONEST, answers=len(found.choices)), "blind"),
    )


def measure_attribute(
    found: Attributions, baseline: Attributions, truth: Tensor, is_member: Tensor
) -> tuple[Measurement, ...]:
    """Accuracy and gain over imputation on training records; the gain on other records is no leak of theirs.

    Args:
        found: Scores of each value, for members and non-members.
        baseline: The same without the model.
        truth: The true values.
        is_member: Bool, shape ``(candidates,)``.
    """
    mine, imputed = _some(found, is_member), _some(baseline, is_member)
    floor = float(right_answers(imputed, truth[is_member]).double().mean())
    (accuracy,) = measure_choices(mine, truth[is_member], floor=floor, floor_is=IMPUTED)
    gain = measure_gain(mine, imputed, truth[is_member])
    outside = measure_gain(_some(found, ~is_member), _some(baseline, ~is_member), truth[~is_member])
    if (outside.value or 0.0) > 0:
        gain = gain.model_copy(update={"floor": outside.value, "floor_is": "the gain on records outside the training"})
    blind = _accuracy(right_answers(imputed, truth[is_member]), floor=None, floor_is="", answers=len(found.choices))
    return accuracy, gain, _beside(outside, "control"), _beside(blind, "blind")


def _some(found: Attributions, chosen: Tensor) -> Attributions:
    return Attributions(found.scores.cpu()[chosen], found.choices, found.notes)


def _commonest(truth: Tensor) -> float:
    return int(truth.unique(return_counts=True)[1].max()) / len(truth)  # type: ignore[no-untyped-call]


def _beside(measured: Measurement, prefix: str) -> Measurement:
    """Printed beside the attack; the name differs, so that no limit on the attack reads it."""
    return measured.model_copy(update={"metric": f"{prefix}_{measured.metric}", "higher_is_worse": False})


def _blind_source(records: Records, owner: Tensor, *, seed: int) -> Tensor:
    """Is the client guessed rightly from the record alone? By a classifier that never saw the record or the model."""
    features, truth = blind_features([records]), owner.cpu().numpy()
    half = np.random.default_rng(seed).permutation(len(truth)) < len(truth) // 2
    right = np.zeros(len(truth), dtype=bool)
    for held in (half, ~half):
        if held.any() and not held.all():
            forest = ExtraTreesClassifier(100, min_samples_leaf=3, random_state=seed % 2**32)
            right[held] = forest.fit(features[~held], truth[~held]).predict(features[held]) == truth[held]
    return torch.from_numpy(right)


def measure_agreement(agreement: Tensor) -> Measurement:
    """How often a stolen copy answers as the model does, with its exact interval.

    Args:
        agreement: Bool, ``(records, 2)``: of the copy, and of a model learned without queries.
    """
    copied, blind = agreement.sum(dim=0).tolist()
    n = len(agreement)
    return Measurement(
        metric="copy_agreement",
        value=copied / n,
        unit="fraction",
        interval=clopper_pearson(int(copied), n),
        n=n,
        n_of="records that nothing was learned from",
        floor=blind / n,
        floor_is="a model learned from the same records without asking the audited one",
        method="share of records on which the copy names the class that the model names",
    )


def measure_shares(found: Sequence[InferredShare], truths: Sequence[float]) -> tuple[Measurement, ...]:
    """How often the attack is closer to the true share than a guess without the update, and how far off both are.

    Args:
        found: One for each update.
        truths: The true shares.
    """
    attack = np.array([abs(one.share - truth) for one, truth in zip(found, truths, strict=True)])
    guess = np.array([abs(one.guess - truth) for one, truth in zip(found, truths, strict=True)])
    won, lost = int((attack < guess).sum()), int((attack > guess).sum())
    n, decided = len(attack), won + lost
    return (
        Measurement(
            metric="property_closer",
            value=won / decided if decided else 0.5,
            unit="fraction",
            interval=clopper_pearson(won, decided, over="updates"),
            n=decided,
            n_of="updates",
            floor=0.5,
            floor_is="as often closer as the share among other records",
            protects="client",
            method="share of updates where the attack is closer to the true share than the guess; ties are left out",
        ),
        Measurement(
            metric="property_error",
            value=float(attack.mean()),
            unit="fraction",
            interval=mean_interval([np.array([error]) for error in attack], lowest=0.0, highest=1.0),
            n=n,
            n_of="updates",
            floor=float(guess.mean()),
            floor_is="the share among other records",
            higher_is_worse=False,
            protects="client",
            method="mean distance between the inferred and the true share",
        ),
    )


def right_answers(found: Attributions, truth: Tensor) -> Tensor:
    """Is the highest-scored answer the true one? Bool, shape ``(candidates,)``."""
    return torch.tensor(found.choices)[found.scores.cpu().argmax(dim=1)] == truth.cpu()


def measure_choices(
    found: Attributions, truth: Tensor, *, floor: float | None = None, floor_is: str = "", protects: str = "record"
) -> tuple[Measurement, ...]:
    """Accuracy of the highest-scored answer, with its exact interval.

    Args:
        found: Scores of each answer.
        truth: The true answer of each candidate, as in ``found.choices``, shape ``(candidates,)``.
        floor: Accuracy without the model; default: the share of the commonest true answer.
        floor_is: How the floor was made.
        protects: Unit that the answer speaks of.

    Raises:
        ValueError: if shapes differ.
    """
    truth = truth.cpu()
    if len(truth) != len(found.scores):
        raise ValueError(f"{len(found.scores)} candidates, {len(truth)} truths")
    if floor is None:
        floor, floor_is = _commonest(truth), COMMONEST
    right = right_answers(found, truth)
    measured = _accuracy(right, floor=floor, floor_is=floor_is, answers=len(found.choices))
    return (measured.model_copy(update={"protects": protects}),)


def _accuracy(right: Tensor, *, floor: float | None, floor_is: str, answers: int) -> Measurement:
    hits, n = int(right.sum()), len(right)
    return Measurement(
        metric="answer_accuracy",
        value=hits / n,
        unit="fraction",
        interval=clopper_pearson(hits, n),
        n=n,
        n_of=f"records, {answers} possible answers",
        floor=floor,
        floor_is=floor_is,
        method="share of records whose highest-scored answer is the true one; a tie counts for the first",
    )
