"""The first page: scope in one sentence, the answers, what was not tested, what to decide."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from markupsafe import Markup

from auditor.core.findings import FindingStatus
from auditor.core.measurement import Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.policy.statements import counted
from auditor.policy.unfinished import unfinished
from auditor.report.decisions import Item, clipped, decisions_of, fitting, likelihood_words, untested_of
from auditor.report.describe import (
    attack_title,
    declared,
    ends,
    floor_text,
    metric_name,
    scenario_title,
    sentence_case,
    value_with_interval,
)
from auditor.report.formatting import Rounding, measured, number, percent, quantity
from auditor.report.strings import Strings
from auditor.report.tally import overall, planned
from auditor.report.worst import (
    HEADLINES,
    Candidate,
    behind_status,
    by_rank,
    candidates,
    positive_control,
    status_of,
    tests,
    topic_of_class,
)

ORDER = ("membership", "records", "labels", "attribute", "source", "property", "other")

_REACH = {
    "dp_fedavg": "answers.epsilon_before",
    "dp_ftrl": "answers.epsilon_before",
    "distributed": "answers.epsilon_shares",
}
"""Mechanisms whose epsilon leaves out what a server sees, with the clause that says so."""

LONGEST_NAME = 60
LONGEST_MISSING = 240
HIGH = 3
"""Likelihood from which on a risk asks for a decision."""


@dataclass(frozen=True)
class Answer:
    """One question with what was found.

    Attributes:
        group, status: The word group and value of the mark, e.g. ``finding`` and ``exceeds``.
        detail: What stands below the figure.
    """

    question: str
    group: str
    status: str
    figure: str
    detail: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """The first page."""

    scope: Markup
    overall: str
    answers: tuple[Answer, ...]
    level: str
    untested: tuple[Item, ...]
    untested_more: int
    decisions: tuple[Item, ...]
    context: dict[str, str] = field(default_factory=dict)
    missing: str = ""


def summarise(results: Results, words: Strings) -> Summary:
    """What stands on the first page."""
    untested = list(untested_of(results, words))
    answers = (*_attack_answers(results, words), epsilon_answer(results, words))
    written = sum(len(text) for answer in answers for text in (answer.figure, *answer.detail))
    room = fitting(untested, above=written)
    level = usual_level(results)
    return Summary(
        scope=_scope(results, words),
        overall=overall(results, words),
        answers=answers,
        missing="" if results.run.complete else clipped(sentence_case(unfinished(results)), LONGEST_MISSING),
        level="" if level is None else percent(level),
        untested=tuple(room),
        untested_more=len(untested) - len(room),
        decisions=tuple(decisions_of(results, words, above=written)),
    )


def _scope(results: Results, words: Strings) -> Markup:
    shape = results.target.shape
    federation = results.settings.get("federation") or {}
    mechanism = (results.settings.get("privacy") or {}).get("mechanism", "none")
    text = words.html(
        "scope.model",
        model=declared(clipped(results.target.model, LONGEST_NAME)),
        task=words.word("task", shape.task.value),
        modality=words.word("modality", shape.modality.value),
        parameters=number(shape.parameters),
    )
    if "algorithm" in federation:
        text += words.html(
            "scope.declared_federation" if results.target.weights_sha256 else "scope.federation",
            algorithm=words.word("algorithm", federation["algorithm"]),
            clients=number(federation.get("clients", shape.aggregated_clients)),
            rounds=number(federation.get("rounds", 1)),
        )
    if mechanism == "none":
        text += words.html("scope.no_mechanism")
    else:
        text += words.html("scope.mechanism", mechanism=words.word("mechanism", mechanism))
    if not results.outcomes:
        return text + words.html("scope.nothing")
    return text + _planned(results, words)


def _planned(results: Results, words: Strings) -> Markup:
    """How many attack runs were planned and gave a figure; those that do not apply here are counted apart."""
    runs = planned(results)
    others = len(tests(results)) - len(runs)
    if not runs:
        return words.html("scope.none_applies", others=number(others))
    text = words.html(
        "scope.adversaries",
        measured=number(sum(o.status == OutcomeStatus.MEASURED for o in runs)),
        planned=number(len(runs)),
        techniques=number(len({o.attack for o in runs})),
        scenarios=number(len({o.scenario for o in runs})),
        members=number(results.target.shape.members),
    )
    controls = [o for o in results.outcomes if o.control and o.status != OutcomeStatus.NOT_APPLICABLE]
    if controls:
        gave = sum(o.status == OutcomeStatus.MEASURED for o in controls)
        text += words.html("scope.controls", measured=number(gave), planned=number(len(controls)))
    key = "scope.other" if others == 1 else "scope.others"
    return text + (words.html(key, others=number(others)) if others else Markup("."))


def _attack_answers(results: Results, words: Strings) -> list[Answer]:
    groups = candidates(results)
    for outcome in tests(results):
        if outcome.attack_class in ("membership", "reconstruction"):
            groups.setdefault(topic_of_class(outcome), [])
    return [_answer(topic, groups[topic], results, words) for topic in ORDER if topic in groups]


def _answer(topic: str, found: list[Candidate], results: Results, words: Strings) -> Answer:
    question = words.plain(f"answers.questions.{topic}")
    worst = next(by_rank(found), None)
    if worst is None:
        failed = any(o.status == OutcomeStatus.FAILED for o in tests(results) if topic_of_class(o) == topic)
        return Answer(question, "finding", "failed" if failed else "not_run", words.plain("answers.no_measurement"))
    if worst.measurement.n == 1:
        key = "one_update" if worst.measurement.n_of.startswith("update") else "one_trial"
        return Answer(question, "finding", "inconclusive", words.plain(f"answers.{key}"))
    status = status_of(found)
    detail = [
        *_beside_figure(worst, results, words),
        *_other_states(worst, found, status, words),
        *([words.plain("answers.unanswered")] if any(c.unanswered for c in found) else []),
    ]
    if topic == "records":
        detail += _control(worst, results, words)
    who = words.plain(
        "answers.who",
        actor=scenario_title(results, worst.outcome.scenario),
        attack=attack_title(worst.outcome),
    )
    figure = _with_state(_figure(worst, words), worst.outcome, words)
    group = status.value if status else "measured"
    return Answer(question, "finding", group, figure, (sentence_case("; ".join(detail)), sentence_case(who)))


def _figure(candidate: Candidate, words: Strings) -> str:
    m = candidate.measurement
    low, high = ends(m)
    return words.plain(
        f"answers.figures.{m.metric if m.metric in HEADLINES else 'other'}",
        value=measured(m),
        low=low,
        high=high,
        fpr=percent(m.at.get("fpr", 0.0)),
        metric=metric_name(m, words),
        attack=attack_title(candidate.outcome),
    )


def _with_state(text: str, outcome: Outcome, words: Strings) -> str:
    if not outcome.state:
        return text
    return words.plain("answers.state", figure=text, state=words.plain(f"results.state.{outcome.state.value}"))


def _beside_figure(worst: Candidate, results: Results, words: Strings) -> list[str]:
    """Trials, floor, limit, an unusual level, and the risk although the limit is kept."""
    m = worst.measurement
    detail = [words.plain("answers.trials", trials=counted(m))] if m.n > 0 else []
    if m.floor is not None:
        detail.append(words.plain("answers.floor", floor=floor_text(m)))
    if worst.finding and worst.finding.limit is not None:
        detail.append(words.plain("answers.limit", limit=quantity(worst.finding.limit, m.unit)))
    elif worst.finding:
        detail.append(words.plain("answers.no_limit"))
    if m.interval and m.interval.level != usual_level(results):
        detail.append(words.plain("answers.own_level", level=percent(m.interval.level)))
    if likelihood := _risk_although_within(worst, results, words):
        detail.append(words.plain("answers.scale", likelihood=likelihood))
    return detail


def _other_states(
    worst: Candidate, found: list[Candidate], status: FindingStatus | None, words: Strings
) -> Iterator[str]:
    """Why the question has a worse status than the figure that is quoted."""
    behind = behind_status(worst, found, status)
    if status is None or not behind:
        return
    attack = _with_state(attack_title(behind[0].outcome), behind[0].outcome, words)
    m = behind[0].measurement
    same = (m.metric, m.at) == (worst.measurement.metric, worst.measurement.at)
    figure = value_with_interval(m) if same else f"{metric_name(m, words)} {value_with_interval(m)}"
    more = words.plain("answers.behind_more", count=number(len(behind) - 1)) if len(behind) > 1 else ""
    yield words.plain(
        "answers.behind",
        status=words.word("finding", status.value),
        attack=attack,
        figure=figure,
        more=more,
    )


def _control(worst: Candidate, results: Results, words: Strings) -> list[str]:
    """What was rebuilt where everything was laid open, by the same attack or by one that is named."""
    best = positive_control(results, worst.outcome)
    if best is None:
        return []
    outcome, share = best
    attack = attack_title(outcome) if outcome.attack != worst.outcome.attack else words.plain("answers.same_attack")
    if outcome.state and outcome.state != worst.outcome.state:
        attack = f"{attack} {words.plain(f'results.state.{outcome.state.value}')}"
    low, high = ends(share)
    return [words.plain("answers.control", attack=attack, value=measured(share), low=low, high=high)]


def _risk_although_within(candidate: Candidate, results: Results, words: Strings) -> str:
    """The likelihood that the scale of risks gives a figure within its limit, where it is a high one."""
    if candidate.finding is None or candidate.finding.status is not FindingStatus.WITHIN:
        return ""
    cells = [c for c in results.risks if candidate.outcome.key in c.evidence and (c.likelihood or 0) >= HIGH]
    return likelihood_words(max(cells, key=lambda c: c.likelihood or 0), words) if cells else ""


def usual_level(results: Results) -> float | None:
    """The confidence level of most intervals; an answer with another one says so."""
    levels = Counter(
        m.interval.level for o in results.outcomes for m in o.measurements if m.interval and m.value is not None
    )
    return levels.most_common(1)[0][0] if levels else None


def epsilon_answer(results: Results, words: Strings) -> Answer:
    """What the accounting says, in one row."""
    question = words.plain("answers.questions.epsilon")
    epsilon = results.accounting.epsilon
    claimed = results.accounting.claimed_epsilon
    if epsilon is None:
        figure = words.plain("answers.epsilon_none", reason=results.accounting.reason)
        return Answer(question, "epsilon", "unknown", figure)
    if math.isinf(epsilon.upper):
        return Answer(question, "epsilon", "unbounded", words.plain("answers.epsilon_infinite"))
    figure = words.plain(
        "answers.epsilon_value",
        upper=number(epsilon.upper, decimals=2, rounding=Rounding.UP),
        delta=number(epsilon.delta),
        unit=words.plain(f"privacy.units.{epsilon.unit}"),
    )
    mechanism = (results.settings.get("privacy") or {}).get("mechanism", "none")
    reach = _REACH.get(mechanism)
    detail = (sentence_case(words.plain(reach)),) if reach else ()
    status = "bounded"
    if claimed is not None:
        detail = (sentence_case(words.plain("answers.epsilon_claimed", claimed=number(claimed))), *detail)
        status = "disputed" if claimed < epsilon.lower else "bounded"
    return Answer(question, "epsilon", status, figure, detail)
