"""The file in which people write down what they decide: each open decision in words, with the fields to fill in."""

import json
import textwrap
from collections.abc import Iterator

from auditor.core.findings import FindingStatus, RiskCell
from auditor.core.results import Results
from auditor.policy.decisions import Decided
from auditor.policy.words import count


def template(results: Results, decided: Decided | None = None) -> str:
    """A file to fill in: every finding that can be accepted and every value that can be overridden, commented out.

    Lines with ``##`` say in words what each is about; they stay comments when ``# `` is taken away.

    Args:
        results: A judged run.
        decided: What people decided about it before; said beside each finding, for a new file replaces the old one.
    """
    return "\n".join(_template(results, decided)) + "\n"


def _template(results: Results, decided: Decided | None) -> Iterator[str]:
    before = {finding.id: by for finding, by in decided.accepted.accepted} if decided else {}
    yield f"## Decisions about run {results.run.id}. Save this file as decisions.yaml, take the '# ' away from the"
    yield "## lines of what you decide, and fill them in; then: auditor report RUN_DIR --decisions decisions.yaml"
    yield "## A reason has at least 40 characters. Lowering a value needs a second person. Dates are like 2026-11-20."
    open_ = sorted(
        (f for f in results.findings if f.status in {FindingStatus.EXCEEDS, FindingStatus.INCONCLUSIVE}),
        key=lambda finding: finding.status != FindingStatus.EXCEEDS,
    )
    yield ""
    yield f"## Findings that people can accept: {len(open_)}. An accepted one stays in the report as it was measured."
    yield "accepted:"
    for finding in open_:
        yield ""
        yield from _said(f"{_STATUS[finding.status]}: {finding.sentence}")
        if by := before.get(finding.id):
            yield from _said(f"Accepted by {by.person} until {by.expires}; a new file must hold that again to keep it.")
        yield f"#   - finding: {json.dumps(finding.id)}"
        yield from _fields()
    yield ""
    yield f"## Likelihoods and severities that people can override: {count(len(results.risks), 'feared event')}."
    yield "overrides:"
    model = results.target.weights_sha256 or results.target.model_sha256
    for cell in results.risks:
        yield ""
        yield from _said(_risk(cell))
        yield f"#   - actor: {json.dumps(cell.actor)}"
        yield f"#     attack_class: {json.dumps(cell.attack_class)}"
        yield "#     quantity: likelihood"
        yield f"#     computed: {'null' if cell.likelihood is None else cell.likelihood}"
        yield "#     value: "
        yield '#     evidence: ""'
        yield '#     second_person: ""'
        yield f"#     model_sha256: {model}"
        yield f"#     protocol_sha256: {results.run.protocol_sha256}"
        yield from _fields()


_STATUS = {FindingStatus.EXCEEDS: "Exceeds its limit", FindingStatus.INCONCLUSIVE: "Inconclusive"}
_LEVELS = {None: "not known", 1: "1 of 4", 2: "2 of 4", 3: "3 of 4", 4: "4 of 4"}


def _risk(cell: RiskCell) -> str:
    least = "at least " if cell.likelihood and cell.at_least else ""
    levels = f"likelihood {least}{_LEVELS[cell.likelihood]}, severity {_LEVELS[cell.severity]}"
    return f"{cell.event} ({cell.actor}): {levels}. {cell.reason}"


def _said(text: str) -> Iterator[str]:
    """Words as lines that stay comments, without characters that no YAML file may hold."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    for line in textwrap.wrap(" ".join(shown.split()), width=110):
        yield f"## {line}"


def _fields() -> Iterator[str]:
    yield from ('#     reason: ""', '#     person: ""', '#     role: ""', "#     date: ", "#     expires: ")
