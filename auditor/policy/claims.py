"""Claims: sentences that the evidence of one run supports or contradicts, by evidence kind of the law packs.

Measured kinds rest on findings: one finding above its limit contradicts, all within support, anything else leaves
the claim open. Record kinds say only that a record exists. What needs another run (a re-audit, a measure switched
on, a grid of settings) is not claimed from one.
"""

from collections.abc import Iterable, Sequence

from auditor.core.findings import Claim, ClaimKind, Finding, FindingStatus
from auditor.core.measurement import Outcome
from auditor.core.results import Results
from auditor.policy.bounds import bound_claims
from auditor.policy.canaries import audit_claims
from auditor.policy.negative import control_claims, faulty_control
from auditor.policy.records import record_claims
from auditor.policy.roles import is_measured, is_test

BY_CLASS = {
    "membership": "mia_tpr_at_fpr",
    "attribute": "attribute_inference_gain",
    "property": "property_inference_gain",
    "exfiltration": "exfiltration_test",
    "regurgitation": "extraction_rate",
    "model_inversion": "model_inversion_match",
    "reconstruction": "gia_reconstruction_match",
}
_WORDS = {
    "membership": "attempts to tell who was in the training data",
    "attribute": "attempts to infer labels or other details of records",
    "property": "attempts to infer a property of the data",
    "exfiltration": "attempts to take stored data out",
    "regurgitation": "attempts to make the model repeat its training data",
    "model_inversion": "attempts to invert the finished model",
    "reconstruction": "attempts to rebuild records from updates",
}


def claims(results: Results, findings: Sequence[Finding]) -> tuple[Claim, ...]:
    """All claims of a run; ids are stable."""
    return (
        *_measured(results, findings),
        *_server(results, findings),
        *_precision(results),
        *control_claims(results),
        *_sums(results),
        *bound_claims(results, findings),
        *audit_claims(results),
        *record_claims(results),
    )


def verdict(findings: Iterable[Finding]) -> bool | None:
    """True where all are within, False where one exceeds, None where the evidence leaves it open."""
    statuses = [finding.status for finding in findings if finding.status != FindingStatus.NOT_APPLICABLE]
    if FindingStatus.EXCEEDS in statuses:
        return False
    return True if statuses and set(statuses) == {FindingStatus.WITHIN} else None


def _measured(results: Results, findings: Sequence[Finding]) -> list[Claim]:
    found = []
    for attack_class, kind in BY_CLASS.items():
        tested = [o for o in results.outcomes if o.attack_class == attack_class and is_test(o)]
        mine = _of(tested, findings)
        if not any(is_measured(outcome) for outcome in tested):
            continue
        if attack_class == "membership" and faulty_control(results):
            found.append(_unsound(f"measured:{attack_class}", kind, mine))
        else:
            found.append(_claim(f"measured:{attack_class}", kind, _WORDS[attack_class], mine))
    return found


def _server(results: Results, findings: Sequence[Finding]) -> list[Claim]:
    """What a server that follows the protocol learned (GDPR Art. 28)."""
    passive = {s.name for s in results.scenarios if s.actor == "server" and s.behaviour == "passive"}
    tested = [outcome for outcome in results.outcomes if outcome.scenario in passive and is_test(outcome)]
    if not any(is_measured(outcome) for outcome in tested):
        return []
    words = "attempts of a server that follows the protocol"
    return [_claim("measured:server", "attacker_profile_server_result", words, _of(tested, findings))]


def _precision(results: Results) -> list[Claim]:
    """Precision is stated for several priors; which one is real is for people to declare, so nothing is judged."""
    known = [
        o.key for o in results.outcomes if any(m.metric == "precision" and m.value is not None for m in o.measurements)
    ]
    if not known:
        return []
    text = (
        "How often a named record is rightly named is stated for several shares of training records; "
        "nobody declared which share is real."
    )
    return [_raw("measured:precision", ClaimKind.MEASUREMENT, text, "ppv_at_declared_prior", None, known)]


def _unsound(name: str, kind: str, findings: Sequence[Finding]) -> Claim:
    text = "Membership was tested, but the negative control was not clean, so the result is not counted."
    return _raw(name, ClaimKind.MEASUREMENT, text, kind, None, [finding.id for finding in findings])


def _sums(results: Results) -> list[Claim]:
    """The same attack on single updates and on their sum."""
    by_grant = {
        grant: {s.name for s in results.scenarios if grant in s.grants}
        for grant in ("client_update", "aggregate_update")
    }
    single = _shares(results, by_grant["client_update"])
    summed = _shares(results, by_grant["aggregate_update"])
    both = sorted(single.keys() & summed.keys())
    if not both:
        return []
    lower = all(summed[key][1] < single[key][0] for key in both)
    text = (
        "Adding updates up before the server reads them lowered the share of recovered records, by whole intervals."
        if lower
        else "Adding updates up before the server reads them was tested; no clear drop of the recovered share was seen."
    )
    evidence = [o.key for o in results.outcomes if f"{o.attack}@{o.state}" in both]
    return [
        _raw("measured:sums", ClaimKind.MEASUREMENT, text, "secure_aggregation_sensitivity", lower or None, evidence)
    ]


def _shares(results: Results, scenarios: set[str]) -> dict[str, tuple[float, float]]:
    return {
        f"{o.attack}@{o.state}": (m.interval.low, m.interval.high)
        for o in results.outcomes
        if o.scenario in scenarios and is_test(o)
        for m in o.measurements
        if m.metric == "recovered_share" and m.interval is not None and not m.refused
    }


def _of(outcomes: Sequence[Outcome], findings: Sequence[Finding]) -> list[Finding]:
    keys = {outcome.key for outcome in outcomes}
    controls = {f"{key}:control" for key in keys}
    return [f for f in findings if f.outcome in keys and not f.id.startswith(tuple(controls))]


def _claim(name: str, kind: str, words: str, findings: Sequence[Finding]) -> Claim:
    supports = verdict(findings)
    text = {
        True: f"In this run, {words} stayed within every limit, for the attacks run, on this sample.",
        False: f"In this run, {words} went beyond a limit that was fixed beforehand.",
        None: f"In this run, {words} left open whether a limit is kept.",
    }[supports]
    return _raw(name, ClaimKind.MEASUREMENT, text, kind, supports, [finding.id for finding in findings])


def _raw(
    name: str, kind: ClaimKind, text: str, evidence_kind: str, supports: bool | None, evidence: Sequence[str]
) -> Claim:
    return Claim(
        id=name, kind=kind, sentence=text, evidence_kind=evidence_kind, supports=supports, evidence=tuple(evidence)
    )
