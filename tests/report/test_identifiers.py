"""People read words: names of metrics, grants, attributes and values of settings stay in the results file."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from auditor.report.describe import choice_words, first_sentence
from auditor.report.load import load_evidence
from auditor.report.sections import measures_to_take
from auditor.report.strings import strings
from tests.report import golden
from tests.report.example_results import EXAMPLES

IDENTIFIER = re.compile(r"(?<![\w./:@-])[a-z]+(?:_[a-z0-9]+)+(?![\w./:@]*\w)")
"""A name such as ``property_closer``; a path of a setting (``budget.minutes``) is what people write in their file."""
MACHINE = frozenset({"x86_64"})


class _Words(HTMLParser):
    """Text for readers and spoken text, without ``<code>`` and quotations of people."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._skipped: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script", "code", "q", "cite"):
            self._skipped.append(tag)
        self.parts += [value for name, value in attrs if value and name in ("alt", "title", "aria-label")]

    def handle_endtag(self, tag: str) -> None:
        if self._skipped and self._skipped[-1] == tag:
            self._skipped.pop()

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.parts.append(data)


def identifiers(markup: str) -> set[str]:
    reader = _Words()
    reader.feed(markup)
    return {name for part in reader.parts for name in IDENTIFIER.findall(part)} - MACHINE


def test_the_search_finds_an_identifier() -> None:
    assert identifiers("<p>Add a limit on property_closer.</p><code>a_b</code>") == {"property_closer"}
    assert identifiers("<p>Raise privacy.noise_multiplier (audit.yaml:3:1).</p>") == set()


@pytest.mark.parametrize("sample", golden.SAMPLES)
def test_a_sample_report_shows_no_identifier(sample: str, tmp_path: Path) -> None:
    assert identifiers(golden.page_of_run(golden.written(sample, tmp_path / "run"))) == set()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_report_shows_no_identifier(name: str, page_of: Callable[[str], str]) -> None:
    assert identifiers(page_of(name)) == set()


@pytest.mark.parametrize("sample", golden.SAMPLES)
def test_lists_of_reasons_hold_no_full_stop_within(sample: str, tmp_path: Path) -> None:
    folder = golden.written(sample, tmp_path / "run")
    todo = measures_to_take(load_evidence(folder).results, strings())
    assert todo.open
    assert [why for measure in (*todo.against, *todo.open) for why in measure.because if why.endswith(".")] == []
    assert ".;" not in golden.page_of_run(folder)


def test_a_finding_of_several_sentences_is_listed_by_its_first() -> None:
    assert first_sentence("Epsilon 3 is stated; 15.7 is found. It promises more.") == (
        "Epsilon 3 is stated; 15.7 is found."
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [("dp_sgd", "DP-SGD"), ("fixed_size", "fixed size"), ("add_or_remove", "add or remove"), ("full", "full")],
)
def test_values_of_settings_in_words(value: str, shown: str) -> None:
    assert choice_words(value) == shown
