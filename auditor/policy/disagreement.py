"""Does an attack do better than the declared differential privacy allows? Then settings and code disagree.

Under (epsilon, delta)-DP no test of membership reaches a true-positive rate above the trade-off curve at its
false-positive rate (Wasserman & Zhou 2010; Dong, Roth & Su 2022). A measured rate wholly above that curve shows
that the declared mechanism is not the one that ran, or that it was declared wrongly.
"""

import math

from auditor.core.findings import Finding, FindingStatus
from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.core.privacy import AttackCaps, CapPoint
from auditor.core.results import Results
from auditor.core.shape import ModelState
from auditor.policy.phrases import found, headline
from auditor.policy.words import one_in, percent, sentence

_SEES_BEFORE_THE_NOISE = frozenset({"client_update", "partial_update", "aggregate_update"})
_ONE_SIDED = 0.025


def disagreements(results: Results) -> tuple[Finding, ...]:
    """One finding for each membership rate that lies wholly above the cap at its false-positive rate."""
    caps, epsilon = results.accounting.caps, results.accounting.epsilon
    if caps is None or epsilon is None or math.isinf(epsilon.upper):
        return ()
    found_here = []
    for outcome in results.outcomes:
        if not released_only(results, outcome):
            continue
        for measurement in outcome.measurements:
            cap = cap_for(results, measurement, caps)
            if cap is not None and _above(measurement, cap):
                found_here.append(_finding(outcome, measurement, cap))
    return tuple(found_here)


def released_only(results: Results, outcome: Outcome) -> bool:
    """Did this attack see only what the mechanism had already noised, of a model trained with it?"""
    grants = next((set(s.grants) for s in results.scenarios if s.name == outcome.scenario), set())
    return (
        outcome.status == OutcomeStatus.MEASURED
        and outcome.attack_class == "membership"
        and outcome.state == ModelState.TRAINED
        and not grants & _SEES_BEFORE_THE_NOISE
    )


def cap_for(results: Results, measurement: Measurement, caps: AttackCaps) -> CapPoint | None:
    """The cap that holds for this measurement; None where none may be compared.

    The threshold of an attack is set on a finite sample of non-members, so its true false-positive rate may be higher
    than the nominal one. Where the interval does not allow for that (``over`` names members alone), the cap is read
    at the upper end of the rate's exact interval. Between two points of the curve the right one counts, which can
    only raise the cap.
    """
    epsilon = results.accounting.epsilon
    if epsilon is None or measurement.metric != "tpr_at_fpr" or measurement.protects != epsilon.unit:
        return None
    nominal = measurement.at.get("fpr", 1.0)
    allowed_for = measurement.interval is not None and "non-members" in measurement.interval.over
    highest = nominal if allowed_for else highest_fpr(nominal, results.target.shape.nonmembers)
    return next((point for point in sorted(caps.roc, key=lambda point: point.fpr) if point.fpr >= highest), None)


def highest_fpr(nominal: float, nonmembers: int) -> float:
    """Upper end of the exact (Clopper-Pearson) 95 % interval of a false-positive rate of at most ``nominal``."""
    from scipy.special import betaincinv

    false_alarms = math.floor(nominal * nonmembers + 1e-9)
    if nonmembers <= 0 or false_alarms >= nonmembers:
        return 1.0
    return float(betaincinv(false_alarms + 1, nonmembers - false_alarms, 1 - _ONE_SIDED))


def _above(measurement: Measurement, cap: CapPoint) -> bool:
    interval = measurement.interval
    return interval is not None and measurement.value is not None and not measurement.refused and interval.low > cap.tpr


def _finding(outcome: Outcome, measurement: Measurement, cap: CapPoint) -> Finding:
    interval = measurement.interval
    assert interval is not None
    single = "" if "model" in interval.over else " One trained model was attacked; another seed would make it surer."
    measured = sentence(f"{headline(outcome)}: {found(measurement)}")
    text = (
        f"The declared settings and the running code disagree. {measured} With the declared differential privacy, "
        f"no attack could recognise more than {percent(cap.tpr, towards='up')} of them, even if it wrongly named "
        f"{one_in(cap.fpr)} of the others.{single}"
    )
    return Finding(
        id=f"accounting:disagreement:{outcome.key}:{measurement.key}",
        outcome="accounting",
        status=FindingStatus.EXCEEDS,
        metric=measurement.key,
        value=measurement.value,
        low=interval.low,
        high=interval.high,
        limit=cap.tpr,
        unit=measurement.unit,
        sentence=text,
        advice="Check privacy.sampling, privacy.noise_multiplier and privacy.clipping against the code that ran.",
    )
