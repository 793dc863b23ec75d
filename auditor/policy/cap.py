"""When a recomputed epsilon may lower a likelihood: only where this run itself made the noise it accounts for."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from auditor.core.findings import Finding
from auditor.core.measurement import Measurement, Outcome
from auditor.core.privacy import Agreement, LintSeverity
from auditor.core.results import Results
from auditor.policy import rule
from auditor.policy.bands import Band, band, band_of_ratio
from auditor.policy.disagreement import released_only
from auditor.policy.words import number


class Cap(NamedTuple):
    """The band above which no attack can get, with the reason."""

    band: Band
    because: str


_BY_CLIENTS = frozenset({"dp_sgd", "local"})
_ONE_CLIENT = frozenset({"client_update", "partial_update"})


def covers_updates(mechanism: str, grants: Iterable[str]) -> bool:
    """Does epsilon count the noise in the updates that such an adversary sees?

    In DP-SGD and local DP each client noises its own steps, and the accounting takes participation as public: every
    update is post-processing of what it composes. Distributed noise is whole in the sum alone. In DP-FedAvg and
    DP-FTRL the server adds the noise, after it has seen the updates.
    """
    if mechanism == "distributed":
        return not _ONE_CLIENT & set(grants)
    return mechanism in _BY_CLIENTS


def why_unverified(results: Results, findings: Sequence[Finding] = ()) -> str:
    """Why the declared privacy may not be relied on; empty where this run verified settings, unit and accountant."""
    accounting = results.accounting
    epsilon = accounting.epsilon
    if epsilon is None or math.isinf(epsilon.upper):
        return "there is no finite epsilon"
    if epsilon.agreement not in {Agreement.AGREED, Agreement.REFINED}:
        return "the accountants did not agree"
    if any(lint.severity == LintSeverity.HIGH for lint in accounting.lints):
        return "the declared settings contradict each other"
    if any(finding.id.startswith("accounting:disagreement:") for finding in findings):
        return "this run found more than the declared privacy allows"
    target, privacy = results.settings.get("target") or {}, results.settings.get("privacy") or {}
    if target.get("weights"):
        return "the weights were given, so nothing shows that they were trained with the declared noise"
    if privacy.get("override"):
        return "the accounting was overridden and describes another training than the one simulated"
    return ""


def verified_cap(
    results: Results, event: str, planned: Sequence[Outcome], findings: Sequence[Finding] = ()
) -> Cap | None:
    """The cap on the success band of membership by the real trade-off curve; None where there is none.

    A declared but unverified epsilon caps nothing, and neither does one so large that its curve allows any band.
    """
    caps = results.accounting.caps
    if event != "membership" or caps is None or why_unverified(results, findings):
        return None
    measured = [outcome for outcome in planned if outcome.measurements]
    if not measured or not all(released_only(results, outcome) for outcome in measured):
        return None
    units = {m.protects for outcome in measured for m in outcome.measurements}
    epsilon = results.accounting.epsilon
    if epsilon is None or units != {epsilon.unit}:
        return None
    ratios = [point.tpr / point.fpr for point in caps.roc if rule.SMALLEST_FPR <= point.fpr <= rule.LARGEST_FPR]
    if not ratios or band_of_ratio(max(ratios)) == Band.S3:
        return None
    if any(_above(measurement, max(ratios)) for outcome in measured for measurement in outcome.measurements):
        return None
    said = number(max(ratios), towards="up")
    return Cap(
        band_of_ratio(max(ratios)),
        f"the differential privacy that this run applied caps any attack at naming training records {said} times "
        "as often as others",
    )


def _above(measurement: Measurement, ratio: float) -> bool:
    """Was more measured than the cap allows? Then it is no cap, even where the excess is no finding yet."""
    banded = band(measurement)
    if banded is None or measurement.interval is None or measurement.refused:
        return False
    return measurement.interval.low > ratio * measurement.at.get("fpr", 1.0)
