"""Membership scores against the truth: rates at pre-set false-positive rates first, area under the curve second."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from torch import Tensor

from auditor.core.errors import AttackFailed
from auditor.core.measurement import Interval, Measurement
from auditor.metrics.intervals import clopper_pearson
from auditor.metrics.roc import Floats, OperatingPoint, RocSample, area_under_curve, roc_curve, tpr_at_fpr
from auditor.observations.returned import MembershipScores

LEVEL = 0.95
GUESS = "guessing without the model"
BLIND = "a classifier on inputs and labels that never saw the model"
PER_FALSE_POSITIVE_RATE = 10
"""Non-members needed for a claim at FPR f: this over f. 1,000 at 1 %, 10,000 at 0.1 %: with 10 false positives
expected, the true FPR of the threshold is known to about a factor of two; with fewer it is a guess."""


@dataclass(frozen=True)
class MembershipMeasures:
    """All metrics of one membership attack.

    Attributes:
        measurements: The headline (TPR at the lowest FPR that may be claimed) is among them, AUC after the rates.
        roc: Rows (fpr, tpr, tpr_low, tpr_high), increasing FPR, no row below one non-member.
        warnings: Sentences about the scores themselves, e.g. that the sign looks inverted.
    """

    measurements: tuple[Measurement, ...]
    roc: Floats
    warnings: tuple[str, ...] = ()


def measure_membership(
    scores: MembershipScores,
    is_member: Tensor,
    *,
    fprs: Sequence[float] = (0.1, 0.01, 0.001),
    priors: Sequence[float] = (0.5, 0.1, 0.01),
    blind: MembershipMeasures | None = None,
) -> MembershipMeasures:
    """Compare the scores of candidate records with their true membership.

    Args:
        scores: Higher means more likely a member, shape ``(candidates,)``.
        is_member: Bool, shape ``(candidates,)``.
        fprs: False-positive rates, set before the scores were seen.
        priors: Shares of members among the people an adversary would ask about, for precision.
        blind: What a model-free classifier reaches on the same candidates
            (:func:`auditor.metrics.shift.blind_baseline`); it raises the floors where it beats a guess.

    Raises:
        AttackFailed: if a score is not a number.
        ValueError: if shapes differ, or all candidates are members, or none is.
    """
    sample = _sample(scores, is_member)
    rates: list[Measurement] = []
    precisions: list[Measurement] = []
    for fpr in fprs:
        point = tpr_at_fpr(sample, fpr, level=LEVEL)
        refused = _refusal(len(sample.nonmembers), fpr)
        rates.append(_rate(point, sample, refused))
        precisions += [_precision(point, prior, sample, refused) for prior in priors]
    area = _area(sample)
    measurements: tuple[Measurement, ...] = (*rates, area, _advantage(sample), *precisions)
    if blind is not None:
        measurements = tuple(_above(measured, blind) for measured in measurements)
    return MembershipMeasures(measurements, roc_curve(sample, level=LEVEL), _warnings(sample))


def _above(measured: Measurement, blind: MembershipMeasures) -> Measurement:
    """The measurement with the blind classifier's value as floor, where that is the higher one."""
    reached = next((b.value for b in blind.measurements if b.key == measured.key), None)
    if reached is None or measured.floor is None or reached <= measured.floor:
        return measured
    return measured.model_copy(update={"floor": reached, "floor_is": BLIND})


def nonmembers_needed(fpr: float) -> int:
    """How many non-members a claim at this false-positive rate needs."""
    return math.ceil(PER_FALSE_POSITIVE_RATE / fpr - 1e-9)


def _sample(scores: MembershipScores, is_member: Tensor) -> RocSample:
    values = scores.scores.detach().cpu().double().numpy()
    truth = is_member.detach().cpu().bool().numpy()
    if values.shape != truth.shape:
        raise ValueError(f"scores have shape {values.shape}, the truth {truth.shape}")
    bad = int(np.isnan(values).sum())
    if bad:
        raise AttackFailed(f"{bad:,} of {len(values):,} scores are not a number")
    return RocSample.of(values[truth], values[~truth])


def _refusal(nonmembers: int, fpr: float) -> str:
    needed = nonmembers_needed(fpr)
    if nonmembers >= needed:
        return ""
    return (
        f"a claim at a false-positive rate of {fpr:.3g} needs {needed:,} non-members; there are {nonmembers:,}, "
        f"so {needed - nonmembers:,} more are needed"
    )


def _rate(point: OperatingPoint, sample: RocSample, refused: str) -> Measurement:
    return Measurement(
        metric="tpr_at_fpr",
        at={"fpr": point.fpr},
        value=None if refused else point.tpr,
        unit="fraction",
        interval=None if refused else _interval(point.low, point.high),
        n=len(sample.nonmembers),
        n_of=f"non-members, {len(sample.members):,} members",
        floor=point.fpr,
        floor_is=GUESS,
        method="share of members strictly above the threshold; ties count against the attack, no interpolation "
        "(Carlini et al., 2022)",
        refused=refused,
    )


def _interval(low: float, high: float) -> Interval:
    method = "Clopper-Pearson at order-statistic limits of the threshold (distribution-free)"
    return Interval(low=low, high=high, level=LEVEL, method=method, over="members and non-members")


def _precision(point: OperatingPoint, prior: float, sample: RocSample, refused: str) -> Measurement:
    def posterior(tpr: float) -> float:
        return prior * tpr / (prior * tpr + (1 - prior) * point.fpr)

    return Measurement(
        metric="precision",
        at={"fpr": point.fpr, "prior": prior},
        value=None if refused else posterior(point.tpr),
        unit="fraction",
        interval=None if refused else _interval(posterior(point.low), posterior(point.high)),
        n=len(sample.nonmembers),
        n_of=f"non-members, {len(sample.members):,} members",
        floor=prior,
        floor_is="the prior itself",
        method="Bayes' rule on the true-positive rate at this false-positive rate",
        refused=refused,
    )


def _area(sample: RocSample) -> Measurement:
    area = area_under_curve(sample)
    pairs = min(len(sample.members), len(sample.nonmembers))
    if area.standard_error > 0:
        reach = float(stats.norm.ppf((1 + LEVEL) / 2)) * area.standard_error
        interval = Interval(
            low=max(0.0, area.value - reach),
            high=min(1.0, area.value + reach),
            level=LEVEL,
            method="DeLong",
            over="members and non-members",
        )
    else:
        # All scores separate (or all tie): DeLong's variance is 0, but disjoint pairs are still independent trials.
        found = clopper_pearson(round(area.value * pairs), pairs, level=LEVEL, over="members and non-members")
        interval = found.model_copy(update={"method": "Clopper-Pearson over disjoint pairs"})
    return Measurement(
        metric="auc",
        value=area.value,
        unit="fraction",
        interval=interval,
        n=pairs,
        n_of="of the smaller of members and non-members",
        floor=0.5,
        floor_is=GUESS,
        method="area under the ROC, ties as one half (DeLong et al., 1988)",
    )


def _advantage(sample: RocSample) -> Measurement:
    """TPR - FPR at a threshold that was chosen on the other half of the records."""
    generator = np.random.default_rng(0)
    halves = _halves(sample, generator)
    hits = alarms = 0
    for chosen_on, judged in (halves, halves[::-1]):
        threshold = _best_threshold(chosen_on)
        hits += judged.members_above(threshold)
        alarms += int((judged.nonmembers > threshold).sum())
    m, n = len(sample.members), len(sample.nonmembers)
    each = (1 + LEVEL) / 2
    caught, wrong = clopper_pearson(hits, m, level=each), clopper_pearson(alarms, n, level=each)
    return Measurement(
        metric="advantage",
        value=hits / m - alarms / n,
        unit="fraction",
        interval=Interval(
            low=caught.low - wrong.high,
            high=caught.high - wrong.low,
            level=LEVEL,
            method="difference of two Clopper-Pearson intervals",
            over="members and non-members",
        ),
        n=min(m, n),
        n_of="of the smaller of members and non-members",
        floor=0.0,
        floor_is=GUESS,
        method="TPR - FPR at the best threshold of the other half of the records (Yeom et al., 2018; cross-fitted)",
    )


def _halves(sample: RocSample, generator: np.random.Generator) -> tuple[RocSample, RocSample]:
    members, nonmembers = generator.permutation(sample.members), generator.permutation(sample.nonmembers)
    m, n = max(1, len(members) // 2), max(1, len(nonmembers) // 2)
    if len(members) < 2 or len(nonmembers) < 2:
        return sample, RocSample(members[:0], nonmembers[:0])
    return RocSample.of(members[:m], nonmembers[:n]), RocSample.of(members[m:], nonmembers[n:])


def _best_threshold(sample: RocSample) -> float:
    if not len(sample.members):
        return np.inf
    values = np.concatenate([[-np.inf], np.unique(np.concatenate([sample.members, sample.nonmembers]))])
    above = len(sample.members) - np.searchsorted(sample.members, values, side="right")
    wrong = len(sample.nonmembers) - np.searchsorted(sample.nonmembers, values, side="right")
    return float(values[np.argmax(above / len(sample.members) - wrong / len(sample.nonmembers))])


def _warnings(sample: RocSample) -> tuple[str, ...]:
    area = area_under_curve(sample)
    if area.value < 0.5 - 3 * area.standard_error:
        return (
            f"AUC {area.value:.3f} lies more than three standard errors below 0.5: members score lower than "
            "non-members. This is a fault of the attack's sign or of the data, not protection.",
        )
    return ()
