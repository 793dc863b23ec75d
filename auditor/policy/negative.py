"""Negative controls: what the same attacks and measures give where nothing can be found."""

from auditor.core.findings import Claim, ClaimKind
from auditor.core.measurement import Measurement, Outcome
from auditor.core.results import Results
from auditor.policy import rule
from auditor.policy.roles import carried_is_clean, is_clean, is_measured, is_negative_control, is_test
from auditor.policy.words import listed, percent

_GUESSED = {
    "reconstruction": frozenset({"recovered_share"}),
    "attribute": frozenset({"label_accuracy", "answer_accuracy"}),
}


def control_claims(results: Results) -> tuple[Claim, ...]:
    """One claim for each attack class that had a control, ``measured:controls:<class>``."""
    return (*_membership(results), *_reconstruction(results), *_labels(results))


def faulty_control(results: Results) -> bool:
    """Did membership seem to succeed where nothing can be found?"""
    return not all(clean for _, clean in _answers(results))


def _answers(results: Results) -> list[tuple[Outcome, bool]]:
    """Outcomes of their own, and the control that an attack carries: non-members against other non-members."""
    found: list[tuple[Outcome, bool]] = _carried(results, "membership")
    for outcome in results.outcomes:
        if outcome.attack_class == "membership" and is_measured(outcome) and is_negative_control(outcome):
            read = (is_clean(m) for m in outcome.measurements)
            found += [(outcome, clean) for clean in read if clean is not None]
    return found


def _carried(results: Results, attack_class: str) -> list[tuple[Outcome, bool]]:
    """Controls that attacks of a class carry beside their own figures, read together."""
    pairs = [
        (outcome, m)
        for outcome in results.outcomes
        if outcome.attack_class == attack_class and is_measured(outcome) and not is_negative_control(outcome)
        for m in outcome.measurements
        if carried_is_clean(m) is not None
    ]
    return [(outcome, bool(carried_is_clean(m, among=len(pairs)))) for outcome, m in pairs]


def _membership(results: Results) -> list[Claim]:
    answers = _answers(results)
    if not answers:
        return []
    clean = not faulty_control(results)
    text = (
        "Membership attacks find nothing where nothing can be found (non-members against other non-members, or a "
        "model that has not been trained), as they must."
        if clean
        else "Membership attacks seem to succeed where nothing can be found (non-members against other non-members, or "
        "a model that has not been trained), so their figures cannot be relied on."
    )
    return [_claim("membership", text, clean, [outcome for outcome, _ in answers])]


def _reconstruction(results: Results) -> list[Claim]:
    """Population records in place of the reconstructions, counted by the same rule.

    A finding exceeds only above what these reach, so they may be some, but not as many as the limit itself.
    """
    guessed = _guesses(results, "reconstruction")
    if not guessed:
        return []
    worst = max(measurement.floor or 0.0 for _, measurement in guessed)
    clean = worst <= rule.SHARE_S1
    verdict = "few enough to judge by" if clean else "so many that chance passes for recovery"
    text = f"Records that are not behind an update count as recovered in {percent(worst)} of cases, {verdict}."
    return [_claim("reconstruction", text, clean, [outcome for outcome, _ in guessed])]


def _labels(results: Results) -> list[Claim]:
    """A blind guess is stated beside each result, and results count only above it.

    Where the attack asks whose record it is, records that nobody holds are the control.
    """
    guessed = _guesses(results, "attribute")
    if not guessed:
        return []
    rates = listed(sorted({percent(measurement.floor or 0.0) for _, measurement in guessed}))
    clean = all(answer for _, answer in _carried(results, "attribute"))
    text = f"A blind guess is right in {rates} of cases; only results above it count."
    if not clean:
        text += " An attack gives right answers where there are none, so its figures cannot be relied on."
    return [_claim("attribute", text, clean, [outcome for outcome, _ in guessed])]


def _guesses(results: Results, attack_class: str) -> list[tuple[Outcome, Measurement]]:
    return [
        (outcome, measurement)
        for outcome in results.outcomes
        if is_measured(outcome) and is_test(outcome) and outcome.attack_class == attack_class
        for measurement in outcome.measurements
        if measurement.metric in _GUESSED[attack_class] and measurement.floor is not None
    ]


def _claim(attack_class: str, text: str, clean: bool, outcomes: list[Outcome]) -> Claim:
    return Claim(
        id=f"measured:controls:{attack_class}",
        kind=ClaimKind.MEASUREMENT,
        sentence=text,
        evidence_kind="negative_controls",
        supports=clean,
        evidence=tuple(dict.fromkeys(outcome.key for outcome in outcomes)),
    )
