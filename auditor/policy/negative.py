"""Negative controls: what the same attacks and measures give where nothing can be found."""

from auditor.core.findings import Claim, ClaimKind
from auditor.core.measurement import Measurement, Outcome
from auditor.core.results import Results
from auditor.policy import rule
from auditor.policy.phrases import with_interval
from auditor.policy.roles import (
    carried_is_clean,
    is_clean,
    is_measured,
    is_negative_control,
    is_positive_control,
    is_test,
    off_chance,
)
from auditor.policy.words import count, listed, percent

_WHERE = "(non-members against other non-members, or a model that has not been trained)"
_FAMILY = "Outside chance even by intervals widened for all of them together (Bonferroni) are {among}"
_OWN = frozenset({"tpr_at_fpr"})
_CARRIED = frozenset({"control_auc", "control_tpr_at_fpr"})
_Reading = tuple[Outcome, Measurement]
_GUESSED = {
    "reconstruction": frozenset({"recovered_share"}),
    "attribute": frozenset({"label_accuracy", "answer_accuracy"}),
}


def control_claims(results: Results) -> tuple[Claim, ...]:
    """One claim for each attack class that had a control, ``measured:controls:<class>``."""
    return (*_membership(results), *_reconstruction(results), *_labels(results))


def faulty_control(results: Results) -> bool:
    """Did membership seem to succeed where nothing can be found, by more than so many controls explain?"""
    read = _readings(results)
    return any(off_chance(m, among=len(read)) == "above" for _, m in read)


def family(results: Results, attack_class: str) -> int:
    """How many figures of negative controls of a class are read together, as one family; at least one.

    Of membership those that attacks carry too, as the claim on controls reads them.
    """
    if attack_class == "membership":
        return max(1, len(_readings(results)))
    own = [o for o in results.outcomes if o.attack_class == attack_class and is_negative_control(o) and is_measured(o)]
    return max(1, sum(is_clean(m) is not None for outcome in own for m in outcome.measurements))


def _readings(results: Results) -> list[tuple[Outcome, Measurement]]:
    """Every figure of a negative control of membership.

    Outcomes of their own, and what attacks carry: non-members against other non-members.
    """
    return [
        (outcome, m)
        for outcome in results.outcomes
        if is_measured(outcome) and not is_positive_control(outcome)
        for m in outcome.measurements
        if m.metric in (_OWN if _is_control(outcome) else _CARRIED) and off_chance(m) is not None
    ]


def _is_control(outcome: Outcome) -> bool:
    return outcome.attack_class == "membership" and is_negative_control(outcome)


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
    """All control figures are one family: each own interval is named that misses chance, all together decide."""
    read = _readings(results)
    if not read:
        return []
    alone = [(outcome, m) for outcome, m in read if off_chance(m)]
    off = [(outcome, m) for outcome, m in read if off_chance(m, among=len(read))]
    text = _text(len(read), alone, off, seem_to_succeed=faulty_control(results))
    return [_claim("membership", text, not off, [outcome for outcome, _ in read])]


def _text(size: int, alone: list[_Reading], off: list[_Reading], *, seem_to_succeed: bool) -> str:
    among = f"{len(off or alone):,} of {count(size, 'control figure')}"
    if seem_to_succeed:
        first = f"Membership attacks seem to succeed where nothing can be found {_WHERE}, so their figures cannot be "
        return f"{first}relied on. {_FAMILY.format(among=among)}: {_named(off)}."
    if off:
        return (
            f"Where nothing can be found {_WHERE}, not all membership attacks come out at chance. "
            f"{_FAMILY.format(among=among)}: {_named(off)}. Below chance, the two halves differ for this attack; "
            "its own figures may be too low."
        )
    first = f"Membership attacks find nothing where nothing can be found {_WHERE}, as they must"
    if not alone:
        return f"{first}: the 95 % intervals of {count(size, 'control figure')} do not miss chance."
    return (
        f"{first}. {among} {'lies' if len(alone) == 1 else 'lie'} outside chance by a 95 % interval of "
        f"{'its' if len(alone) == 1 else 'their'} own, which {size:,} such intervals explain (Bonferroni): "
        f"{_named(alone)}."
    )


def _named(read: list[_Reading]) -> str:
    """Each figure with its own interval and chance."""
    return "; ".join(f"{outcome.title or outcome.attack} ({outcome.scenario}), {_figure(m)}" for outcome, m in read)


def _figure(measurement: Measurement) -> str:
    fpr = measurement.at.get("fpr")
    if fpr is None:
        return f"area under the curve {with_interval(measurement)} against 50 %"
    return f"{with_interval(measurement)} recognised at {percent(fpr)} false alarms"


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
