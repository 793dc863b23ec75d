"""What weakens the evidence of a run, read off its own results: few updates, attacks cut short, thin controls."""

import re
from collections.abc import Iterator, Sequence

from auditor.core.measurement import Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.report.describe import attack_title
from auditor.report.formatting import Rounding, number, percent
from auditor.report.strings import Strings

FEW_UPDATES = 8
"""Updates up to which figures speak of these updates more than of others."""

FEW_CONTROLS = 20
"""Records up to which a control's interval is wide: with 20 of 20 found, its lower end is at five in six."""

_ITERATIONS = re.compile(r"(\d[\d,]*) of (\d[\d,]*) iterations")


def weaknesses(results: Results, words: Strings) -> list[str]:
    """Sentences; those that the target itself gave reason for come first."""
    measured = [outcome for outcome in results.outcomes if outcome.status == OutcomeStatus.MEASURED]
    tests = [outcome for outcome in measured if not outcome.control]
    positive = [outcome for outcome in measured if outcome.control == "positive"]
    return [
        *results.target.warnings,
        *_few_updates(tests, words),
        *_cut(tests, words),
        *_shortened(tests, words),
        *_few_controls(positive, words),
        *_no_control(tests, positive, words),
    ]


def _few_updates(tests: Sequence[Outcome], words: Strings) -> Iterator[str]:
    """Records of one update share its fate, so that few updates are few trials."""
    few = [outcome for outcome in tests if _rebuilds(outcome) and 0 < outcome.observations <= FEW_UPDATES]
    if not few:
        return
    titles = {attack_title(outcome) for outcome in few}
    counts = sorted({outcome.observations for outcome in few})
    span = (
        number(counts[0])
        if len(counts) == 1
        else words.plain("weak.span", low=number(counts[0]), high=number(counts[-1]))
    )
    yield words.plain(
        "weak.few_updates",
        count=words.plain("weak.attacks" if len(titles) > 1 else "weak.attack", count=number(len(titles))),
        updates=span,
    )


def _rebuilds(outcome: Outcome) -> bool:
    return any(m.metric in {"recovered_share", "label_accuracy"} for m in outcome.measurements)


def _cut(tests: Sequence[Outcome], words: Strings) -> Iterator[str]:
    cut = [outcome for outcome in tests if outcome.cut_short]
    if cut:
        yield words.plain("weak.cut", attacks=_names(cut))


def _shortened(tests: Sequence[Outcome], words: Strings) -> Iterator[str]:
    """Attacks that ended before the iterations that their parameters ask for, by what they say of themselves."""
    done: dict[str, list[tuple[int, int]]] = {}
    for outcome in tests:
        found = [_pair(match) for note in outcome.notes for match in _ITERATIONS.finditer(note)]
        short = [pair for pair in found if pair[0] < pair[1]]
        if short and not outcome.cut_short:
            done.setdefault(attack_title(outcome), []).extend(short)
    for title, pairs in done.items():
        least, asked = min(pairs)
        yield words.plain("weak.shortened", attack=title, done=number(least), asked=number(asked))


def _pair(match: re.Match[str]) -> tuple[int, int]:
    return int(match[1].replace(",", "")), int(match[2].replace(",", ""))


def _few_controls(positive: Sequence[Outcome], words: Strings) -> Iterator[str]:
    """The lowest end of an interval says how little the controls can tell."""
    shares = [m for o in positive for m in o.measurements if m.metric == "recovered_share" and m.interval]
    few = [m for m in shares if m.n <= FEW_CONTROLS]
    if not few:
        return
    best = max(few, key=lambda m: (m.value or 0.0, m.n))
    low = percent(best.interval.low if best.interval else 0.0, rounding=Rounding.DOWN)
    records, value = number(max(m.n for m in few)), percent(best.value or 0.0)
    yield words.plain("weak.few_controls", records=records, value=value, low=low)


def _no_control(tests: Sequence[Outcome], positive: Sequence[Outcome], words: Strings) -> Iterator[str]:
    """Classes of attack of which nothing shows that they find what is there."""
    with_control = {outcome.attack_class for outcome in positive}
    if any(outcome.attack_class == "membership" for outcome in tests) and "membership" not in with_control:
        yield words.plain("weak.no_membership_control")


def _names(outcomes: Sequence[Outcome]) -> str:
    return "; ".join(dict.fromkeys(map(attack_title, outcomes)))
