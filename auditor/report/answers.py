"""The first page: scope in one sentence, the answers, what was not tested, what to decide."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from auditor.core.findings import Finding, FindingStatus
from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.policy.statements import counted
from auditor.report.decisions import Item, clipped, decisions_of, fitting, likelihood_words, untested_of
from auditor.report.describe import (
    WEIGHT,
    attack_title,
    declared,
    ends,
    findings_of,
    floor_text,
    metric_key,
    scenario_title,
    sentence_case,
)
from auditor.report.formatting import Rounding, measured, number, percent, quantity
from auditor.report.strings import Strings

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
ORDER = ("membership", "records", "labels", "attribute", "property", "other")
BESIDE = ("blind_", "control_")
"""Prefixes of what an attack carries beside its own figures."""

LONGEST_NAME = 60
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


def summarise(results: Results, words: Strings) -> Summary:
    """What stands on the first page."""
    untested = list(untested_of(results, words))
    answers = (*_attack_answers(results, words), epsilon_answer(results, words))
    room = fitting(untested, above=len(answers))
    level = usual_level(results)
    return Summary(
        scope=_scope(results, words),
        overall=overall(_counted(results), words),
        answers=answers,
        level="" if level is None else percent(level),
        untested=tuple(room),
        untested_more=len(untested) - len(room),
        decisions=tuple(decisions_of(results, words, above=len(answers))),
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
            "scope.federation",
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
    planned = [o for o in results.outcomes if o.status != OutcomeStatus.NOT_APPLICABLE]
    others = len(results.outcomes) - len(planned)
    if not planned:
        return words.html("scope.none_applies", others=number(others))
    text = words.html(
        "scope.adversaries",
        measured=number(sum(o.status == OutcomeStatus.MEASURED for o in planned)),
        planned=number(len(planned)),
        techniques=number(len({o.attack for o in planned})),
        scenarios=number(len({o.scenario for o in _tests(results)})),
        members=number(results.target.shape.members),
    )
    return text + (words.html("scope.others", others=number(others)) if others else Markup("."))


def _counted(results: Results) -> list[Finding]:
    """Findings on the audited setting; what does not apply and what tests the attacks found nothing about it."""
    controls = {outcome.key for outcome in results.outcomes if outcome.control}
    return [
        finding
        for finding in results.findings
        if finding.status != FindingStatus.NOT_APPLICABLE and finding.outcome not in controls
    ]


def overall(findings: Sequence[Finding], words: Strings) -> str:
    """One sentence built from counts; never a grade."""
    if not findings:
        return words.plain("overall.none")
    counts = Counter(finding.status for finding in findings)
    parts = [
        words.plain(f"overall.{status}", count=number(counts[status]))
        for status in sorted(FindingStatus, key=WEIGHT.__getitem__)
        if counts[status]
    ]
    return words.plain("overall.sentence", total=number(len(findings)), parts=", ".join(parts))


@dataclass(frozen=True)
class _Candidate:
    outcome: Outcome
    measurement: Measurement
    finding: Finding | None

    @property
    def rank(self) -> tuple[int, int, float, float, float]:
        """Worst first: headline metrics, the status, few false alarms, the value, and how bad it may be."""
        weight = WEIGHT[self.finding.status] if self.finding else len(WEIGHT)
        head = 0 if self.measurement.metric in HEADLINES else 1
        m = self.measurement
        value, sign = m.value or 0.0, -1 if m.higher_is_worse else 1
        end = value if m.interval is None else m.interval.high if m.higher_is_worse else m.interval.low
        return head, weight, m.at.get("fpr", 0.0), sign * value, sign * end

    @property
    def unanswered(self) -> bool:
        """Has it a limit that the sample is too small to speak to?"""
        return self.measurement.value is None and self.finding is not None


def _tests(results: Results) -> list[Outcome]:
    """Outcomes that speak of the audited setting: controls test the attacks."""
    return [outcome for outcome in results.outcomes if not outcome.control]


def _candidates(results: Results) -> Iterator[tuple[str, _Candidate]]:
    for outcome in _tests(results):
        found = findings_of(results, outcome)
        for measurement in outcome.measurements:
            if measurement.metric.startswith(BESIDE):
                continue
            topic = TOPICS.get(measurement.metric)
            if topic is None:
                topic = outcome.attack_class if outcome.attack_class in ("attribute", "property") else "other"
            yield topic, _Candidate(outcome, measurement, found.get(measurement.key))


def _attack_answers(results: Results, words: Strings) -> list[Answer]:
    groups: dict[str, list[_Candidate]] = {}
    for topic, candidate in _candidates(results):
        groups.setdefault(topic, []).append(candidate)
    planned = {outcome.attack_class for outcome in _tests(results)}
    if "membership" in planned:
        groups.setdefault("membership", [])
    if "reconstruction" in planned:
        groups.setdefault("records", [])
    return [_answer(topic, groups[topic], results, words) for topic in ORDER if topic in groups]


def topic_of_class(attack_class: str) -> str:
    """The question that a class of attack speaks to."""
    return "records" if attack_class == "reconstruction" else attack_class


def _answer(topic: str, candidates: list[_Candidate], results: Results, words: Strings) -> Answer:
    only_source = candidates and all(c.outcome.attack.endswith("/source") for c in candidates)
    question = words.plain(f"answers.questions.{'source' if topic == 'attribute' and only_source else topic}")
    claimed = [c for c in candidates if c.measurement.value is not None]
    if not claimed:
        tried = [o for o in _tests(results) if topic_of_class(o.attack_class) == topic]
        failed = any(o.status == OutcomeStatus.FAILED for o in tried)
        return Answer(question, "finding", "failed" if failed else "not_run", words.plain("answers.no_measurement"))
    worst = min(claimed, key=lambda candidate: candidate.rank)
    m = worst.measurement
    low, high = ends(m)
    key = m.metric if m.metric in HEADLINES else "other"
    figure = words.plain(
        f"answers.figures.{key}",
        value=measured(m),
        low=low,
        high=high,
        fpr=percent(m.at.get("fpr", 0.0)),
        metric=words.plain(f"metrics.{metric_key(m.metric, words)}.short", metric=m.metric),
        attack=attack_title(worst.outcome),
    )
    if worst.outcome.state:
        figure = words.plain(
            "answers.state", figure=figure, state=words.plain(f"results.state.{worst.outcome.state.value}")
        )
    detail = [words.plain("answers.trials", trials=counted(m))] if m.n > 0 else []
    if m.floor is not None:
        detail.append(words.plain("answers.floor", floor=floor_text(m)))
    if worst.finding and worst.finding.limit is not None:
        detail.append(words.plain("answers.limit", limit=quantity(worst.finding.limit, m.unit)))
    if m.interval and m.interval.level != usual_level(results):
        detail.append(words.plain("answers.own_level", level=percent(m.interval.level)))
    if likelihood := _risk_although_within(worst, results, words):
        detail.append(words.plain("answers.scale", likelihood=likelihood))
    if topic == "records" and (control := _positive_control(results)):
        low, high = ends(control)
        detail.append(words.plain("answers.control", value=measured(control), low=low, high=high))
    who = words.plain(
        "answers.who",
        actor=scenario_title(results, worst.outcome.scenario),
        attack=attack_title(worst.outcome),
    )
    status = worst.finding.status if worst.finding else None
    if any(c.unanswered for c in candidates):
        detail.append(words.plain("answers.unanswered"))
        if status is FindingStatus.WITHIN:
            status = FindingStatus.INCONCLUSIVE
    return Answer(
        question,
        "finding",
        status.value if status else "measured",
        figure,
        (sentence_case("; ".join(detail)), sentence_case(who)),
    )


def _risk_although_within(candidate: _Candidate, results: Results, words: Strings) -> str:
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


def _positive_control(results: Results) -> Measurement | None:
    """The best share of single records that an attack rebuilt where everything was laid open."""
    shares = [
        m
        for outcome in results.outcomes
        if outcome.control == "positive"
        for m in outcome.measurements
        if m.metric == "recovered_share" and m.value is not None
    ]
    return max(shares, key=lambda m: m.value or 0.0, default=None)


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
    detail: tuple[str, ...] = ()
    status = "bounded"
    if claimed is not None:
        detail = (sentence_case(words.plain("answers.epsilon_claimed", claimed=number(claimed))),)
        status = "disputed" if claimed < epsilon.lower else "bounded"
    return Answer(question, "epsilon", status, figure, detail)
