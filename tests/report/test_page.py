"""The HTML page: complete, self-contained, and deaf to hostile strings."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from auditor.core.measurement import OutcomeStatus
from auditor.report.html import SECTIONS
from auditor.report.load import load_evidence
from auditor.report.sections import measures_to_take
from auditor.report.strings import strings
from tests.report import golden
from tests.report.example_results import EXAMPLES, HOSTILE
from tests.report.page_text import read

VOID = {"br", "img", "meta", "wbr", "link", "hr", "input", "path", "use", "rect"}


class Balance(HTMLParser):
    """Collects tags, and complains where they do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def parse(markup: str) -> Balance:
    balance = Balance()
    balance.feed(markup)
    return balance


@pytest.mark.parametrize("name", EXAMPLES)
def test_page_is_well_formed_and_holds_all_sections(name: str, page_of: Callable[[str], str]) -> None:
    balance = parse(page_of(name))
    assert balance.faults == []
    assert balance.open == []
    ids = [attrs["id"] for _, attrs in balance.seen if attrs.get("id")]
    assert len(ids) == len(set(ids))
    assert [i for i in ids if i in SECTIONS] == list(SECTIONS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_page_asks_for_nothing_and_runs_nothing(name: str, page_of: Callable[[str], str]) -> None:
    balance = parse(page_of(name))
    tags = {tag for tag, _ in balance.seen}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base"}
    for tag, attrs in balance.seen:
        assert not [key for key in attrs if key.startswith("on")], (tag, attrs)
        for key in ("src", "href", "xlink:href", "action", "srcset"):
            value = attrs.get(key)
            assert value is None or value.startswith("#"), (tag, key, value)
        assert attrs.get("http-equiv") is None
    addresses = re.findall(r"url\(\s*[\"']?([^)\"']{1,30})", page_of(name))
    assert addresses
    assert all(address.startswith(("data:font/woff2", "#")) for address in addresses)


def test_hostile_strings_are_text(page_of: Callable[[str], str]) -> None:
    text = "".join(read(page_of("hostile")).text)
    for string in HOSTILE:
        assert string in text
    assert "54439" not in text


def test_undetermined_and_unbounded_are_said_in_words(page_of: Callable[[str], str]) -> None:
    text = " ".join("".join(read(page_of("no_mechanism")).text).split())
    assert "ε = ∞" in text
    failures = " ".join("".join(read(page_of("failures")).text).split())
    assert "This run is not complete" in failures
    assert "No attack of this kind gave a figure" in failures
    nothing = " ".join("".join(read(page_of("nothing")).text).split())
    assert "The run holds no finding." in nothing
    assert "Everything. No attack was planned." in nothing
    assert "Every planned attack gave a measurement" not in nothing


def test_a_missing_roc_point_is_refused_with_its_reason(page_of: Callable[[str], str]) -> None:
    text = " ".join("".join(read(page_of("private")).text).split())
    assert "not claimed: needs at least 10000 non-members; the audit had 2500." in text


def test_figures_have_alternative_text_and_a_table(page_of: Callable[[str], str]) -> None:
    markup = page_of("private")
    figures = re.findall(r"<figure.*?</figure>", markup, flags=re.DOTALL)
    assert len(figures) == 5
    for figure in figures:
        assert figure.count('role="img" aria-label="') == 2
        assert "<table" in figure
        assert "<figcaption>" in figure


def test_equal_results_give_equal_pages(evidence_of: Callable[[str], object], page_of: Callable[[str], str]) -> None:
    from auditor.report.html import page

    assert page(evidence_of("private"), printed=False) == page_of("private")  # type: ignore[arg-type]


def test_a_capped_belief_names_its_false_alarms(page_of: Callable[[str], str]) -> None:
    """Precision at one rate of false alarms bounds no attack that accuses more rarely."""
    from auditor.core.privacy import AttackCaps, CapPoint
    from auditor.report.sections import posterior_fpr

    points = tuple(CapPoint(fpr=fpr, tpr=tpr) for fpr, tpr in ((0.001, 0.27), (0.01, 0.53), (0.1, 0.85)))
    assert posterior_fpr(AttackCaps(roc=points, advantage=0.7, posterior={"0.5": 0.53 / 0.54})) == 0.01
    text = " ".join("".join(read(page_of("private")).text).split())
    assert re.search(r"named at [\d.]+ % false alarms, starting from 50 %", text)
    assert "at fewer of them it may be higher" in text


def test_page_one_names_trials_and_the_state_of_the_model(page_of: Callable[[str], str]) -> None:
    text = " ".join("".join(read(page_of("private")).text).split())
    first = text[text.index("What was found") : text.index("What was not tested")]
    assert "on the trained model" in first
    assert re.search(r"Over [\d,\u202f]+ \w+", first)
    assert re.search(r"planned attack runs \(\d+ techniques\)", text)


def test_what_does_not_apply_is_counted_apart_from_what_was_planned(tmp_path: Path) -> None:
    folder = golden.written("tumour", tmp_path / "run")
    outcomes = load_evidence(folder).results.outcomes
    unfit = sum(outcome.status == OutcomeStatus.NOT_APPLICABLE for outcome in outcomes)
    assert 0 < unfit < len(outcomes)
    text = " ".join("".join(read(golden.page_of_run(folder)).text).split())
    controls = sum(bool(outcome.control) for outcome in outcomes)
    assert controls > 0
    assert re.search(rf"of {len(outcomes) - unfit - controls} planned attack runs", text)
    assert f"beside them, {controls} of {controls} runs that test the attacks themselves (controls)" in text
    assert "by 2 adversaries" in text
    assert "Sampling of the protected unit that the figure assumes poisson" in text
    assert f"; {unfit} do not apply." in text


def test_a_finding_of_several_sentences_is_named_by_its_first(tmp_path: Path) -> None:
    results = load_evidence(golden.written("tumour", tmp_path / "run")).results
    finding = next(f for f in results.findings if f.metric and f.advice)
    update = {"sentence": "The claim is 3. It is refuted: canaries show more.", "measures": (), "status": "exceeds"}
    told = finding.model_copy(update=update)
    (measure, *_) = measures_to_take(results.model_copy(update={"findings": (told,)}), strings()).against
    assert measure.because == ("The claim is 3",)
