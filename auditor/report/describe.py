"""Words for the parts of a run: measures, attacks, scenarios, outcomes."""

import re
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from auditor.core.findings import Finding, FindingStatus
from auditor.core.measurement import Measurement, Outcome, OutcomeStatus
from auditor.core.results import Results
from auditor.core.words import entry_of, plain
from auditor.report.formatting import interval_ends, measured, percent, quantity
from auditor.report.strings import Strings

WEIGHT = {
    FindingStatus.EXCEEDS: 0,
    FindingStatus.INCONCLUSIVE: 1,
    FindingStatus.FAILED: 2,
    FindingStatus.NOT_RUN: 3,
    FindingStatus.WITHIN: 4,
    FindingStatus.NOT_APPLICABLE: 5,
}


def declared(text: str) -> Markup:
    """Words of a person, as a quotation."""
    return Markup('<q class="declared" dir="auto">{}</q>').format(text)


def metric_key(metric: str, words: Strings) -> str:
    """The language entry of a metric."""
    return metric if words.has(f"metrics.{metric}") else "other"


def metric_name(measurement: Measurement, words: Strings) -> str:
    """The measure with its operating point, e.g. ``Members recognised at 1 % false alarms``."""
    return _named(measurement.metric, measurement.at, words)


def key_name(key: str, words: Strings) -> str:
    """The measure behind a measurement key such as ``tpr_at_fpr[fpr=0.01]``."""
    metric, _, inside = key.partition("[")
    at = {}
    for part in filter(None, inside.rstrip("]").split(",")):
        name, _, value = part.partition("=")
        try:
            at[name] = float(value)
        except ValueError:
            return key
    return _named(metric, at, words)


def _named(metric: str, at: Mapping[str, float], words: Strings) -> str:
    key = metric_key(metric, words)
    shown = {name: percent(value) for name, value in at.items()}
    values = {"fpr": "–", "prior": "–", **shown, "metric": metric.replace("_", " ")}
    text = words.plain(f"metrics.{key}.name", **values)
    known = {name for name in at if f"{{{name}}}" in words.get(f"metrics.{key}.name")}
    rest = [f"{name} {value}" for name, value in shown.items() if name not in known]
    return f"{text} ({', '.join(rest)})" if rest else text


def scenario_title(results: Results, name: str) -> str:
    """The adversary's title, or its name where the run does not describe it."""
    return next((s.title for s in results.scenarios if s.name == name), name)


def attack_title(outcome: Outcome) -> str:
    """The attack in plain words."""
    return outcome.title or outcome.attack


def told_apart(results: Results, outcome: Outcome) -> str:
    """The attack, with the name of its adversary where another one carries out the same attack."""
    title = attack_title(outcome)
    scenarios = {o.scenario for o in results.outcomes if attack_title(o) == title and _counts(o)}
    return f"{title} ({outcome.scenario})" if len(scenarios) > 1 else title


def _counts(outcome: Outcome) -> bool:
    return outcome.status == OutcomeStatus.MEASURED and not outcome.control


def findings_of(results: Results, outcome: Outcome) -> dict[str, Finding]:
    """The findings on ``outcome`` by metric key (empty key: a finding on the outcome itself)."""
    return {finding.metric: finding for finding in results.findings if finding.outcome == outcome.key}


def value_with_interval(measurement: Measurement) -> str:
    """``3.2 % (1.1 % to 6.4 %)``."""
    value = measured(measurement)
    if measurement.interval is None:
        return value
    low, high = interval_ends(measurement.interval, measurement.unit)
    return f"{value} ({low} to {high})"


def ends(measurement: Measurement) -> tuple[str, str]:
    """Both ends of the interval, or dashes."""
    if measurement.interval is None:
        return "–", "–"
    return interval_ends(measurement.interval, measurement.unit)


def floor_text(measurement: Measurement) -> str:
    """What is reached without any attack."""
    return "–" if measurement.floor is None else quantity(measurement.floor, measurement.unit)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)


def first_sentence(text: str) -> str:
    """What a text begins with, up to its first full stop."""
    return split_sentences(text)[0]


def choice_words(value: str) -> str:
    """A word of the settings' own vocabulary for readers: ``dp_sgd`` is DP-SGD, ``fixed_size`` fixed size."""
    entry = entry_of(value) if "_" in value else None
    name = entry.names[0] if entry else ""
    return name if name and "_" not in name and plain(name) == plain(value) else value.replace("_", " ")


def sentence_case(text: str) -> str:
    """The text with a capital and a full stop, so that a reason reads as a sentence."""
    text = text.strip()
    if not text:
        return ""
    head = text.split(maxsplit=1)[0]
    word = head.isascii() and "_" not in head and "." not in head.rstrip(".") and "/" not in head
    return (text[0].upper() + text[1:] if word else text) + ("" if text[-1] in ".!?" else ".")


def by_weight(findings: Sequence[Finding]) -> list[Finding]:
    """Findings, the ones that weigh most first; among equals the larger distance from the limit."""

    def rank(finding: Finding) -> tuple[int, float, str]:
        over = 0.0
        if finding.value is not None and finding.limit:
            over = finding.value / finding.limit
        return WEIGHT[finding.status], -over, finding.id

    return sorted(findings, key=rank)
