"""What an attack can score without any leak: the blind baseline, and the negative control."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from auditor.core.measurement import Interval, Measurement
from auditor.metrics.membership import MembershipMeasures, measure_membership
from auditor.metrics.roc import Floats, RocSample, area_under_curve
from auditor.observations.records import Records
from auditor.observations.returned import MembershipScores

FEATURES = 48
MOST_RECORDS = 4000
"""Of each kind. Enough to find an AUC of 0.52 with 95 % power; more would only cost time."""
MOST_LABELS = 64


@dataclass(frozen=True)
class BlindBaseline:
    """How well members are told from non-members without any model.

    Attributes:
        measures: Metrics of the model-free classifier.
        shifted: True where the AUC interval lies above 0.5: the two were not drawn alike.
        sentence: The finding in plain words.
    """

    measures: MembershipMeasures
    shifted: bool
    sentence: str


def blind_baseline(
    members: Records, nonmembers: Records, *, seed: int, asked: tuple[Tensor, Tensor] | None = None
) -> BlindBaseline:
    """Tell members from non-members by their inputs and labels alone; the audited model is never asked.

    A classifier two-sample test (Lopez-Paz and Oquab, 2017, arXiv:1610.06545), cross-fitted: a record is scored
    by classifiers that never saw it. What it finds is a difference of the two samples, not a leak; attacks are
    read against it (the "blind attacks" of Das et al., 2024, arXiv:2406.16201).

    Args:
        members: Training records of the target.
        nonmembers: The records they are compared with.
        seed: Of folds and subsampling.
        asked: The client that each member, and each non-member, is asked about: where labels are spread unevenly
            over clients, client and label together tell members from others.
    """
    random = np.random.default_rng(seed)
    parts = [_some(records, random) for records in (members, nonmembers)]
    kept = [records[index] for records, index in zip((members, nonmembers), parts, strict=True)]
    features = blind_features(kept)
    cells = None
    if asked is not None:
        clients = torch.cat([who.cpu()[index] for who, index in zip(asked, parts, strict=True)])
        features = np.concatenate([features, _one_hot(clients)], axis=1)
        cells = _cells(clients, torch.cat([part.labels.cpu() for part in kept]))
    truth = np.r_[np.ones(len(kept[0])), np.zeros(len(kept[1]))].astype(bool)
    halves = _halves(truth, random)
    scores = _cross_fitted(features, truth, halves, cells=cells, seed=seed % 2**32)
    area = _area(scores, truth, halves)
    measures = measure_membership(MembershipScores(torch.from_numpy(scores)), torch.from_numpy(truth))
    others = tuple(area if m.metric == "auc" else m for m in measures.measurements)
    # No sign warning: where there is nothing to learn, half of all classifiers lie below 0.5.
    measures = MembershipMeasures(others, measures.roc)
    assert area.interval is not None
    shifted = area.interval.low > 0.5
    found = f"AUC {area.value:.3f} [{area.interval.low:.3f}, {area.interval.high:.3f}]"
    if shifted:
        sentence = (
            f"Members and non-members differ without any model ({found}): they were not drawn alike, so part of what "
            "a membership attack finds is this difference. Draw both at random from one source."
        )
    else:
        sentence = f"Without the model, members and non-members cannot be told apart ({found})."
    return BlindBaseline(measures, shifted, sentence)


def blind_features(parts: list[Records]) -> Floats:
    """One row a record, parts one after the other: principal components of the input, and the label.

    Token ids become counts of the most frequent tokens; labels are one-hot where they are few classes.
    """
    inputs = torch.cat([part.inputs.detach().cpu().flatten(1) for part in parts])
    labels = torch.cat([part.labels.detach().cpu().flatten(1 if part.labels.dim() > 1 else 0) for part in parts])
    tokens = not inputs.is_floating_point()
    described = _token_counts(inputs) if tokens else inputs.double().numpy()
    described = StandardScaler().fit_transform(described)
    if described.shape[1] > FEATURES:
        described = PCA(FEATURES, svd_solver="randomized", random_state=0).fit_transform(described)
    own = _label_features(labels, inputs, tokens=tokens)
    return np.concatenate([described, own], axis=1)


def _token_counts(tokens: Tensor) -> Floats:
    values, counts = torch.unique(tokens, return_counts=True)
    frequent = values[counts.argsort(descending=True)[: 8 * FEATURES]]
    return np.stack([(tokens == value).sum(dim=1).numpy() for value in frequent], axis=1).astype(np.float64)


def _label_features(labels: Tensor, inputs: Tensor, *, tokens: bool) -> Floats:
    if tokens and labels.shape == inputs.shape:
        return np.zeros((len(inputs), 0))
    if labels.is_floating_point() or labels.dim() > 1:
        return labels.double().reshape(len(inputs), -1).numpy()
    classes, index = torch.unique(labels, return_inverse=True)
    if len(classes) > MOST_LABELS:
        return labels.double().unsqueeze(1).numpy()
    return torch.nn.functional.one_hot(index, len(classes)).double().numpy()


def negative_control(scores: MembershipScores, is_member: Tensor, *, seed: int) -> MembershipMeasures:
    """The attack's scores of non-members against those of other non-members, split at random.

    Nothing can leak here, so an interval that misses the guess is a fault of the measurement (or the one time
    in twenty that an interval may miss).
    """
    outside = (~is_member.cpu().bool()).nonzero().squeeze(1)
    generator = torch.Generator().manual_seed(seed)
    order = outside[torch.randperm(len(outside), generator=generator)]
    truth = torch.arange(len(order)) < len(order) // 2
    return measure_membership(MembershipScores(scores.scores.cpu()[order]), truth)


def beside(scores: MembershipScores, is_member: Tensor, blind: BlindBaseline, *, seed: int) -> tuple[Measurement, ...]:
    """What a report prints beside an attack: ``blind_*`` and ``control_*``, AUC and rates.

    The names differ from the attack's own, so that no threshold on the attack reads them.
    """
    control = negative_control(scores, is_member, seed=seed)
    return (*_renamed(blind.measures, "blind"), *_renamed(control, "control"))


def _renamed(measures: MembershipMeasures, prefix: str) -> tuple[Measurement, ...]:
    return tuple(
        measured.model_copy(update={"metric": f"{prefix}_{measured.metric}", "higher_is_worse": False})
        for measured in measures.measurements
        if measured.metric in ("auc", "tpr_at_fpr")
    )


def _some(records: Records, random: np.random.Generator) -> Tensor:
    if len(records) <= MOST_RECORDS:
        return torch.arange(len(records))
    return torch.from_numpy(random.choice(len(records), size=MOST_RECORDS, replace=False))


def _one_hot(clients: Tensor) -> Floats:
    index = torch.unique(clients, return_inverse=True)[1]
    return torch.nn.functional.one_hot(index).double().numpy()


def _cells(clients: Tensor, labels: Tensor) -> NDArray[np.int64] | None:
    """A number for each pair of client and class; None where labels are no classes."""
    if labels.is_floating_point() or labels.dim() > 1 or len(labels.unique()) > MOST_LABELS:  # type: ignore[no-untyped-call]
        return None
    pairs = torch.stack([clients, labels], dim=1)
    numbers: NDArray[np.int64] = torch.unique(pairs, dim=0, return_inverse=True)[1].numpy()
    return numbers


def _halves(truth: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
    """A random half of the members and of the non-members."""
    half = np.zeros(len(truth), dtype=bool)
    for index in (np.flatnonzero(truth), np.flatnonzero(~truth)):
        half[random.permutation(index)[: len(index) // 2]] = True
    return half


def _cross_fitted(
    features: Floats,
    truth: NDArray[np.bool_],
    half: NDArray[np.bool_],
    *,
    cells: NDArray[np.int64] | None,
    seed: int,
) -> Floats:
    """Mean log-odds of a linear and a tree classifier, each fitted on the other half, and of the record's cell."""
    scores = np.zeros(len(truth))
    for held in (half, ~half):
        if len(np.unique(truth[~held])) < 2:
            continue
        for classifier in (
            make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=500)),
            ExtraTreesClassifier(100, max_depth=8, min_samples_leaf=5, class_weight="balanced", random_state=seed),
        ):
            classifier.fit(features[~held], truth[~held])
            chance = classifier.predict_proba(features[held])[:, 1].clip(1e-6, 1 - 1e-6)
            scores[held] += np.log(chance / (1 - chance)) / 2
        if cells is not None:
            counts = [np.bincount(cells[~held & side], minlength=cells.max() + 1) for side in (truth, ~truth)]
            odds = np.log((counts[0] + 1) / (counts[1] + 1)) - np.log((counts[0].sum() + 1) / (counts[1].sum() + 1))
            scores[held] += odds[cells[held]]
    return scores


def _area(scores: Floats, truth: NDArray[np.bool_], half: NDArray[np.bool_]) -> Measurement:
    """Mean AUC of the two halves.

    Each half is judged by a classifier that is independent of it, so each AUC has its DeLong error; the two
    classifiers depend on each other, and the error of a mean never exceeds the mean of the errors.
    """
    areas = [area_under_curve(RocSample.of(scores[h & truth], scores[h & ~truth])) for h in (half, ~half)]
    value = (areas[0].value + areas[1].value) / 2
    reach = 1.96 * (areas[0].standard_error + areas[1].standard_error) / 2
    return Measurement(
        metric="auc",
        value=value,
        unit="fraction",
        interval=Interval(
            low=max(0.0, value - reach),
            high=min(1.0, value + reach),
            method="DeLong, mean of two halves at full correlation",
            over="members and non-members",
        ),
        n=int(min(truth.sum(), (~truth).sum())),
        n_of="of the smaller of members and non-members",
        floor=0.5,
        floor_is="guessing",
        method="linear and tree classifier on input and label, cross-fitted (Lopez-Paz and Oquab, 2017)",
    )
