"""Which figure of a question the first page quotes: the worst that may be claimed.

A figure that exceeds its limit comes first. Otherwise the one that lies furthest beyond what is reached without an
attack: a low figure that is not settled must not stand in front of a higher one that is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auditor.core.findings import Finding, FindingStatus
from auditor.core.measurement import Measurement, Outcome
from auditor.core.results import Results
from auditor.policy.roles import is_positive_control
from auditor.report.describe import WEIGHT, findings_of

TOPICS = {
    "tpr_at_fpr": "membership",
    "auc": "membership",
    "precision": "membership",
    "advantage": "membership",
    "recovered_share": "records",
    "psnr": "records",
    "ssim": "records",
    "cell_accuracy": "records",
    "exact_row_share": "records",
    "token_accuracy": "records",
    "exact_text_share": "records",
    "relative_error": "records",
    "label_accuracy": "labels",
    "answer_accuracy": "attribute",
    "accuracy_gain": "attribute",
}
HEADLINES = ("recovered_share", "label_accuracy", "tpr_at_fpr", "answer_accuracy")
_OF_THEIR_CLASS = ("membership", "attribute", "property")
BESIDE = ("blind_", "control_")
"""Prefixes of what an attack carries beside its own figures."""


@dataclass(frozen=True)
class Candidate:
    """A figure that may answer a question."""

    outcome: Outcome
    measurement: Measurement
    finding: Finding | None

    @property
    def exceeds(self) -> bool:
        """Is all of its interval beyond its limit?"""
        return self.finding is not None and self.finding.status == FindingStatus.EXCEEDS

    @property
    def beyond(self) -> float:
        """How far it lies beyond the same figure without an attack; shares of members in units of the false alarms."""
        m = self.measurement
        sign = 1.0 if m.higher_is_worse else -1.0
        return sign * ((m.value or 0.0) - (m.floor or 0.0)) / (m.at.get("fpr") or 1.0)

    @property
    def unanswered(self) -> bool:
        """Has it a limit that the sample is too small to speak to?"""
        return self.measurement.value is None and self.finding is not None

    @property
    def rank(self) -> tuple[bool, bool, bool, bool, float, float, float]:
        """Worst first: what exceeds, what has a limit, more than one trial, headline measures, the excess."""
        m = self.measurement
        interval, sign = m.interval, -1.0 if m.higher_is_worse else 1.0
        end = (m.value or 0.0) if interval is None else interval.high if m.higher_is_worse else interval.low
        headline, few = m.metric in HEADLINES, m.at.get("fpr", 0.0)
        return not self.exceeds, self.finding is None, m.n == 1, not headline, -self.beyond, few, sign * end


def candidates(results: Results) -> dict[str, list[Candidate]]:
    """The figures of attacks on the audited setting, by the question that they speak to."""
    groups: dict[str, list[Candidate]] = {}
    for outcome in tests(results):
        found = findings_of(results, outcome)
        for measurement in outcome.measurements:
            if not measurement.metric.startswith(BESIDE):
                candidate = Candidate(outcome, measurement, found.get(measurement.key))
                groups.setdefault(_topic(outcome, measurement), []).append(candidate)
    return groups


def tests(results: Results) -> list[Outcome]:
    """Outcomes that speak of the audited setting: controls test the attacks."""
    return [outcome for outcome in results.outcomes if not outcome.control]


def topic_of_class(outcome: Outcome) -> str:
    """The question that an attack would speak to by its class, whether or not it gave a figure."""
    if outcome.attack.endswith("/source"):
        return "source"
    return "records" if outcome.attack_class == "reconstruction" else outcome.attack_class


def _topic(outcome: Outcome, measurement: Measurement) -> str:
    if outcome.attack.endswith("/source"):
        return "source"
    known = TOPICS.get(measurement.metric)
    return known or (outcome.attack_class if outcome.attack_class in _OF_THEIR_CLASS else "other")


def status_of(among: Sequence[Candidate]) -> FindingStatus | None:
    """The worst status of a question; None where no figure of it is judged.

    An experimental attack that exceeds nothing is not judged either.
    """
    known = [c.finding.status for c in among if c.finding is not None and c.measurement.value is not None]
    worst = min(known, key=WEIGHT.__getitem__, default=FindingStatus.NOT_APPLICABLE)
    if worst is FindingStatus.NOT_APPLICABLE:
        return None
    unanswered = worst is FindingStatus.WITHIN and any(c.unanswered for c in among)
    return FindingStatus.INCONCLUSIVE if unanswered else worst


def behind_status(quoted: Candidate, among: Sequence[Candidate], status: FindingStatus | None) -> list[Candidate]:
    """The figures that give the question a worse status than the quoted one has, the worst first."""
    if quoted.finding is None or quoted.finding.status == status:
        return []
    mine = [c for c in among if c.finding and c.finding.status == status and c.measurement.value is not None]
    return sorted(mine, key=lambda candidate: candidate.rank)


def positive_control(results: Results, quoted: Outcome) -> tuple[Outcome, Measurement] | None:
    """What was rebuilt where everything was laid open: by the quoted attack on the same model, if that was tried."""
    shares = [
        (outcome, m)
        for outcome in results.outcomes
        if is_positive_control(outcome)
        for m in outcome.measurements
        if m.metric == "recovered_share" and m.value is not None
    ]

    def nearness(share: tuple[Outcome, Measurement]) -> tuple[bool, bool, float]:
        outcome, measurement = share
        return outcome.attack == quoted.attack, outcome.state == quoted.state, measurement.value or 0.0

    return max(shares, key=nearness, default=None)


def by_rank(found: Sequence[Candidate]) -> Iterator[Candidate]:
    """The figures that may be claimed, the worst first."""
    yield from sorted((c for c in found if c.measurement.value is not None), key=lambda candidate: candidate.rank)
