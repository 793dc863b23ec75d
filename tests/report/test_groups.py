"""Rows that gather findings, tests and provisions lose none of them."""

import re
from collections.abc import Callable

import pytest

from auditor.core.findings import FindingStatus
from auditor.core.measurement import Outcome, OutcomeStatus
from auditor.report import attacks, decisions, groups, sections
from auditor.report.describe import attack_title, value_with_interval
from auditor.report.formatting import quantity
from auditor.report.load import Evidence
from auditor.report.strings import strings
from tests.report.page_text import read

NAMES = ["private", "no_mechanism", "failures", "nothing"]


@pytest.mark.parametrize("name", NAMES)
def test_every_finding_stands_in_one_of_the_tables(name: str, evidence_of: Callable[[str], Evidence]) -> None:
    results = evidence_of(name).results
    controls = {outcome.key for outcome in results.outcomes if outcome.control}
    rows = groups.finding_rows(results, strings())
    text = " ".join(" ".join([*row.titles, *row.lines, row.why]) for row in rows)
    elsewhere = [
        title
        for scenario in sections.scenario_names(results)
        for _, titles, _ in attacks.not_applying(results, scenario)
        for title in titles
    ]
    for finding in results.findings:
        outcome = next((o for o in results.outcomes if o.key == finding.outcome), None)
        if finding.outcome in controls:
            continue
        if outcome and outcome.status != OutcomeStatus.MEASURED:
            assert attack_title(outcome) in elsewhere
        if outcome and finding.status == FindingStatus.NOT_APPLICABLE:
            continue
        assert finding.status in {row.status for row in rows}
        if outcome is None or not finding.metric:
            assert finding.sentence in text
        else:
            assert attack_title(outcome) in text
            assert finding.value is None or quantity(finding.value, finding.unit) in text
            assert all(part in text for part in finding.sentence.split(". ")[1:])


@pytest.mark.parametrize("name", NAMES)
def test_every_measurement_stands_in_its_attack(name: str, evidence_of: Callable[[str], Evidence]) -> None:
    results = evidence_of(name).results
    for scenario in sections.scenario_names(results):
        blocks = attacks.attack_blocks(results, scenario, strings())
        outcomes = [o for o in results.outcomes if o.scenario == scenario and o.status == OutcomeStatus.MEASURED]
        claimed = [m for o in outcomes for m in o.measurements if m.value is not None]
        aside = [m for m in claimed if value_with_interval(m) in " ".join(line for b in blocks for line in b.precise)]
        assert sum(len(b.rows) + len(b.beside) for b in blocks) >= len(claimed) - len(aside) - sum(
            m.metric.startswith(attacks.CONTROL) for m in claimed
        )
        carried = {m.key for m in claimed if m.metric.startswith(attacks.CONTROL)}
        tests = " ".join(line for check in groups.check_rows(results, strings()) for line in check.figures)
        assert all(value_with_interval(m) in tests for m in claimed if m.metric.startswith(attacks.CONTROL))
        assert {m.key for m in claimed} - carried <= {row.measurement.key for b in blocks for row in b.rows} | {
            m.key for m in claimed if m.metric.startswith(attacks.BESIDE) or m in aside
        }
        refused = {m.refused for o in outcomes for m in o.measurements if m.value is None}
        assert {reason for b in blocks for _, reasons in b.refused for reason in reasons} == {
            x.rstrip(".") for x in refused
        }
        told = " ".join(part for b in blocks for part in b.about)
        kinds = {re.sub(r"\d[\d.,e+-]*", "#", note) for o in outcomes for note in o.notes}
        assert all(kind in re.sub(r"\d[\d.,e+-]*", "#", told) for kind in kinds)


@pytest.mark.parametrize("name", NAMES)
def test_every_provision_is_on_the_page(
    name: str, evidence_of: Callable[[str], Evidence], page_of: Callable[[str], str]
) -> None:
    results = evidence_of(name).results
    packs = sections.pack_blocks(results)
    shown = [
        row.id
        for pack in packs
        for part in (pack.asking, pack.spoken, pack.untested, pack.outside)
        for g in part
        for row in g.rows
    ]
    assert sorted(shown) == sorted(row.id for row in results.controls)
    text = " ".join("".join(read(page_of(name)).text).split())
    for row in results.controls:
        assert " ".join(sections.provision_name(row).split()) in text
        assert all(" ".join(duty.split()).rstrip(".") in text for duty in row.outside_reach)


def test_states_of_one_attack_share_a_table(evidence_of: Callable[[str], Evidence]) -> None:
    results = evidence_of("private").results
    for scenario in sections.scenario_names(results):
        blocks = attacks.attack_blocks(results, scenario, strings())
        measured = [b.outcome.attack for b in blocks if b.outcome.status == OutcomeStatus.MEASURED]
        assert len(measured) == len(set(measured))


@pytest.mark.parametrize(
    ("reasons", "other"),
    [
        (("is for text; the target is tabular", "the model has no attention"), True),
        (("is for at most 12 records an update; here are 57",), False),
    ],
)
def test_attacks_for_other_data_stay_off_the_first_page(reasons: tuple[str, ...], other: bool) -> None:
    outcome = Outcome(scenario="s", attack="a", status=OutcomeStatus.NOT_APPLICABLE, reasons=reasons)
    assert decisions.for_other_data(outcome) is other
