"""A section for a model card, in Markdown."""

import re

from auditor.core.results import Results
from auditor.policy.decisions import Decided
from auditor.report.answers import summarise
from auditor.report.describe import sentence_case
from auditor.report.exports.people import accepted_in
from auditor.report.formatting import date, number, short_hash
from auditor.report.strings import Strings

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|!~])")


def model_card(results: Results, words: Strings, decided: Decided | None = None) -> bytes:
    """Questions, what was found, and what was not tested; strings of users cannot add markup or formulas."""
    summary = summarise(results, words)
    heads = words.get("exports.card_answers")
    lines = [
        f"## {words.plain('exports.card_title')}",
        "",
        escaped(words.plain("exports.card_lead", date=date(results.run.finished), version=results.run.tool_version)),
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
    ]
    for answer in summary.answers:
        found = " ".join((sentence_case(answer.figure), *answer.detail))
        lines.append(
            f"| {escaped(answer.question)} | {escaped(words.word(answer.group, answer.status))} | {escaped(found)} |"
        )
    level = [words.plain("exports.card_level", level=summary.level)] if summary.level else []
    lines += ["", escaped(" ".join((summary.overall, *level))), ""]
    accepted = accepted_in(decided, words)
    lines += [f"- {escaped(f'{name}: {by.sentence}')}" for name, by in accepted.items()]
    lines += [*([""] if accepted else []), f"### {words.plain('exports.card_untested')}", ""]
    lines += [f"- {escaped(item.text)}" for item in summary.untested]
    if summary.untested_more:
        lines += [f"- {escaped(words.plain('exports.card_more', count=number(summary.untested_more)))}"]
    lines += [f"- {escaped(words.plain('untested.always'))}", ""]
    lines += [escaped(words.plain("exports.card_rest")), ""]
    lines += [escaped(words.plain("exports.card_source", hash=short_hash(results.sha256))), ""]
    return "\n".join(lines).encode("utf-8")


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
