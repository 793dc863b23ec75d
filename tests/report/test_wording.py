"""The tool never claims more than it measured, in its own words."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor.core.errors import AuditorError
from auditor.report.render import render
from auditor.report.strings import strings
from auditor.report.wording import overclaims, page_overclaims
from tests.report.example_results import EXAMPLES, Example

CLAIMS = [
    "This model is GDPR-compliant.",
    "The audit is Certified.",
    "Differential privacy guarantees it.",
    "The data is anonymous.",
    "It is safe to release.",
    "approved by the regulator",
    "It passes the AI Act.",
]


@pytest.mark.parametrize("claim", CLAIMS)
def test_claims_are_refused(claim: str) -> None:
    assert overclaims(claim)
    assert page_overclaims(f"<p>{claim}</p>")
    assert page_overclaims(f'<img alt="{claim}">')


@pytest.mark.parametrize("claim", CLAIMS)
def test_quotations_stay(claim: str) -> None:
    assert not overclaims(f"The documents say “{claim}”, which nobody checked.")
    assert not page_overclaims(f"<p>The documents say <q class='declared'>{claim}</q>.</p>")
    assert not page_overclaims(f"<cite>{claim}</cite>")
    assert not page_overclaims(f'<span class="law">{claim}</span>')


def test_a_quotation_ends() -> None:
    assert page_overclaims("<p><q>safe</q> and safe</p>")
    assert page_overclaims("<p><q><b>x</q> safe</p>")


def test_neighbouring_words_pass() -> None:
    assert not overclaims("safeguards, safety, an uncertain figure, complying people, conformity")


def sentences(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from sentences(inner)
    else:
        yield node


def test_language_file_claims_nothing() -> None:
    assert [claim for sentence in sentences(strings().tree) for claim in overclaims(sentence)] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_pages_claim_nothing(name: str, page_of: Callable[[str], str]) -> None:
    assert page_overclaims(page_of(name)) == []


def test_rendering_stops_at_a_claim(tmp_path: Path) -> None:
    base = EXAMPLES["private"]()
    finding = base.results.findings[0].model_copy(update={"sentence": "The model is safe."})
    results = base.results.model_copy(update={"findings": (finding, *base.results.findings[1:])})
    folder = Example(results, base.arrays).write(tmp_path)
    with pytest.raises(AuditorError, match="'safe'"):
        render(folder, ["html"])
    assert not (folder / "release").exists()


def test_people_may_declare_what_they_like(tmp_path: Path) -> None:
    base = EXAMPLES["private"]()
    organisation = base.results.organisation.model_copy(update={"purpose": "A safe and anonymous model"})
    results = base.results.model_copy(update={"organisation": organisation, "name": "certified"})
    folder = Example(results, base.arrays).write(tmp_path)
    text = render(folder, ["html"])[0].read_text()
    assert '<q class="declared" dir="auto">A safe and anonymous model</q>' in text
