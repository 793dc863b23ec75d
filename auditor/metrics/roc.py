"""The ROC of scores, by a rule without interpolation, with bounds that count the threshold's own randomness."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.metrics.intervals import binomial_lower, binomial_upper

Floats = NDArray[np.float64]


class OperatingPoint(NamedTuple):
    """True-positive rate at a pre-set false-positive rate, with limits."""

    fpr: float
    tpr: float
    low: float
    high: float


class AreaUnderCurve(NamedTuple):
    """Area under the ROC and its DeLong standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class RocSample:
    """Scores of members and of non-members, each sorted in ascending order; higher means more likely a member."""

    members: Floats
    nonmembers: Floats

    @classmethod
    def of(cls, members: Floats, nonmembers: Floats) -> "RocSample":
        """Sort the two samples.

        Raises:
            ValueError: if one is empty or holds a NaN.
        """
        if not len(members) or not len(nonmembers):
            raise ValueError("an ROC needs members and non-members")
        if np.isnan(members).any() or np.isnan(nonmembers).any():
            raise ValueError("a score is not a number")
        return cls(np.sort(members.astype(np.float64)), np.sort(nonmembers.astype(np.float64)))

    def threshold(self, false_positives: int) -> float:
        """The score that at most ``false_positives`` non-members exceed: the next largest of theirs.

        A record is called a member only if its score lies strictly above, so ties count against the attack.
        """
        if false_positives >= len(self.nonmembers):
            return -np.inf
        return float(self.nonmembers[len(self.nonmembers) - 1 - false_positives])

    def members_above(self, threshold: float) -> int:
        """Members strictly above a threshold (all of them above minus infinity)."""
        if threshold == -np.inf:
            return len(self.members)
        return len(self.members) - int(np.searchsorted(self.members, threshold, side="right"))

    def members_drawn(self, false_positives: int) -> int:
        """Members called where ties at the threshold are drawn so that ``false_positives`` are reached; rounded up."""
        threshold = self.threshold(false_positives)
        above, tied = self.members_above(threshold), int((self.members == threshold).sum())
        alarms, alike = int((self.nonmembers > threshold).sum()), int((self.nonmembers == threshold).sum())
        return above + int(np.ceil(tied * min(1.0, (false_positives - alarms) / alike))) if alike else above


def tpr_at_fpr(sample: RocSample, fpr: float, *, level: float = 0.95) -> OperatingPoint:
    """True-positive rate at a pre-set false-positive rate.

    The value uses the threshold strictly above the ``floor(fpr * n) + 1`` largest non-member, without
    interpolation, as in Carlini et al., 2022, arXiv:2112.03570, section III.

    The limits hold for the true-positive rate at the *true* false-positive rate ``fpr``, not only at the
    threshold that this sample happened to give. Let t be the true threshold, so P(S > t) <= fpr <= P(S >= t)
    for a non-member's score S. Then #{S >= t} is at least, and #{S > t} at most, Binomial(n, fpr) in law: one
    order statistic lies at or above t and another at or below t, each but for a quarter of the error.
    Clopper-Pearson limits for the members above these two spend the other two quarters. Distribution-free,
    ties allowed, conservative. The value counts ties against the attack; the upper limit lets the adversary draw
    among tied records, so scores that jump from no false alarm to many do not show that nothing is recognised.
    """
    error = (1 - level) / 4
    n, m = len(sample.nonmembers), len(sample.members)
    # A relative 1e-12 keeps floor(0.01 * 1100) at 11 where the product rounds to 10.999…
    allowed = int(np.floor(fpr * n * (1 + 1e-12)))
    value = sample.members_above(sample.threshold(allowed)) / m
    strict = int(stats.binom.ppf(error, n, fpr)) - 1
    loose = int(stats.binom.ppf(1 - error, n, fpr))
    low = 0.0
    if strict >= 0:
        low = binomial_lower(sample.members_above(sample.threshold(strict)), m, error=error)
    high = binomial_upper(sample.members_drawn(loose), m, error=error)
    return OperatingPoint(fpr, value, min(low, value), max(high, value))


def roc_curve(sample: RocSample, *, points: int = 120, level: float = 0.95) -> Floats:
    """Rows (fpr, tpr, low, high) at increasing FPR, evenly spread over its logarithm; limits hold point by point."""
    n = len(sample.nonmembers)
    counts = np.unique(np.round(np.geomspace(1, n, num=points)).astype(int))
    return np.array([tpr_at_fpr(sample, count / n, level=level) for count in counts], dtype=np.float64)


def area_under_curve(sample: RocSample) -> AreaUnderCurve:
    """Area under the ROC, ties as one half, with the standard error of DeLong et al., 1988, Biometrics 44(3).

    Placements by ranks as in Sun and Xu, 2014: O(n log n).
    """
    m, n = len(sample.members), len(sample.nonmembers)
    ranks = stats.rankdata(np.concatenate([sample.members, sample.nonmembers]))
    of_members = (ranks[:m] - stats.rankdata(sample.members)) / n
    of_nonmembers = 1 - (ranks[m:] - stats.rankdata(sample.nonmembers)) / m
    variance = sum(float(np.var(v, ddof=1)) / len(v) for v in (of_members, of_nonmembers) if len(v) > 1)
    return AreaUnderCurve(float(of_members.mean()), float(np.sqrt(variance)))
