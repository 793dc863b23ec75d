"""Measurements as plain sentences, written for a data protection officer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from auditor.core.measurement import Measurement, Outcome
from auditor.core.shape import ModelState
from auditor.policy import keys
from auditor.policy.words import one_in, quantity

_STATES = {
    ModelState.INITIAL: "against the freshly initialised model",
    ModelState.TRAINED: "against the trained model",
}


@dataclass(frozen=True)
class Phrase:
    """How a metric is said.

    Attributes:
        subject: What the figure is the figure of, ready to stand before ``is``.
        adversary_does: The same as what the attack does, with ``{figure}`` for the figure.
    """

    subject: str
    adversary_does: str


def headline(outcome: Outcome) -> str:
    """The attack and what it met, e.g. ``Membership by loss threshold, against the trained model``."""
    title = outcome.title or outcome.attack
    return f"{title}, {_STATES[outcome.state]}" if outcome.state else title


def phrase(measurement: Measurement) -> Phrase:
    """The metric in plain words; an unknown metric is called by its name."""
    return _said(measurement.metric, measurement.at)


def limited(key: str) -> str:
    """What a limit is set on, from the key of its metric, e.g. ``tpr_at_fpr[fpr=0.01]``."""
    read = keys.parsed(key)
    return _said(read.metric, dict(read.at)).subject


def _said(metric: str, at: Mapping[str, float]) -> Phrase:
    known = _PHRASES.get(metric)
    if known is not None:
        return known(at)
    words = metric.replace("_", " ")
    return Phrase(words, f"the figure '{words}' is {{figure}}")


def with_interval(measurement: Measurement, *, limit: float | None = None) -> str:
    """``12.3 % (95 % interval 9.1 % to 16 %)``; the ends are rounded outwards, never inwards."""
    value, interval = measurement.value, measurement.interval
    if value is None:
        return "not stated"
    figure = quantity(value, measurement.unit, apart_from=limit)
    if interval is None:
        return f"{figure} (no interval)"
    low = quantity(interval.low, measurement.unit, towards="down", apart_from=limit)
    high = quantity(interval.high, measurement.unit, towards="up", apart_from=limit)
    return f"{figure} ({interval.level * 100:g} % interval {low} to {high})"


def found(measurement: Measurement, *, limit: float | None = None) -> str:
    """What was measured as a clause, with the figure, its interval and the figure without any attack."""
    clause = phrase(measurement).adversary_does.format(figure=with_interval(measurement, limit=limit))
    if measurement.floor is None or measurement.floor == measurement.at.get("fpr"):
        return clause
    how = f" ({measurement.floor_is})" if measurement.floor_is else ""
    return f"{clause}; without the attack the figure is {quantity(measurement.floor, measurement.unit)}{how}"


def _tpr(at: Mapping[str, float]) -> Phrase:
    fpr = at.get("fpr", 0.0)
    condition = f"while it wrongly names {one_in(fpr)} of the other records"
    return Phrase(
        f"the share of training records that the attack recognises {condition}",
        f"the attack recognises {{figure}} of the training records {condition}",
    )


def _precision(at: Mapping[str, float]) -> Phrase:
    prior, fpr = at.get("prior", 0.0), at.get("fpr", 0.0)
    words = (
        f"the share of right answers among the records that the attack names, if {one_in(prior)} of those asked about "
        f"were training records and {one_in(fpr)} of the others are wrongly named,"
    )
    return Phrase(words, f"{words} is {{figure}}")


def _fixed(subject: str, does: str) -> Callable[[Mapping[str, float]], Phrase]:
    return lambda at: Phrase(subject, does)


_PHRASES: dict[str, Callable[[Mapping[str, float]], Phrase]] = {
    "tpr_at_fpr": _tpr,
    "precision": _precision,
    "auc": _fixed(
        "the chance that a training record gets a higher score than another record",
        "a training record gets a higher score than another record in {figure} of pairs (50 % is chance)",
    ),
    "advantage": _fixed(
        "the gap between right and wrong accusations",
        "the share of rightly named records less that of wrongly named ones is {figure} (threshold chosen on others)",
    ),
    "recovered_share": _fixed(
        "the share of records recovered closer than chance explains",
        "the attack recovers {figure} of the attacked records closer than chance explains",
    ),
    "label_accuracy": _fixed(
        "the share of label counts read from the update",
        "the attack reads {figure} of the label counts behind the update rightly, tied to no record",
    ),
    "answer_accuracy": _fixed(
        "the share of records for which the attack picks the true answer",
        "the attack picks the true answer for {figure} of the records",
    ),
    "accuracy_gain": _fixed(
        "the share of records for which the answer is right thanks to the model",
        "with the model the attack picks the true answer for {figure} more of the records than without it",
    ),
    "property_closer": _fixed(
        "the share of updates from which the attack reads a property better than it is guessed",
        "the attack reads the share of records with a property better than a guess from {figure} of the updates",
    ),
    "property_error": _fixed(
        "the distance between the share of a property that the attack reads and the true one",
        "the share of records with a property is read off by {figure} on average",
    ),
    "copy_agreement": _fixed(
        "the share of records on which a copy made by queries agrees with the model",
        "a copy made by queries names the class that the model names for {figure} of the records",
    ),
    "psnr": _fixed("the likeness of recovered to true images", "recovered images resemble the true ones to {figure}"),
    "ssim": _fixed(
        "the structural likeness of recovered to true images",
        "recovered images have a structural likeness of {figure} (1 is identical)",
    ),
    "cell_accuracy": _fixed("the share of table cells recovered", "the attack recovers {figure} of the table cells"),
    "exact_row_share": _fixed("the share of rows recovered exactly", "the attack recovers {figure} of rows exactly"),
    "token_accuracy": _fixed("the share of tokens recovered", "the attack recovers {figure} of the tokens"),
    "exact_text_share": _fixed("the share of texts recovered exactly", "the attack recovers {figure} of texts exactly"),
    "relative_error": _fixed(
        "the relative error of recovered series", "recovered series differ from the true ones by {figure}"
    ),
}
