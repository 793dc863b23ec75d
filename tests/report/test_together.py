"""Attacks side by side keep every figure; the first page quotes the worse of equals; caps stand where they hold."""

import pytest

from auditor.core.findings import FindingStatus
from auditor.core.measurement import OutcomeStatus
from auditor.report import answers, attacks, rocs, sections
from auditor.report.describe import ends, floor_text, told_apart
from auditor.report.formatting import measured
from auditor.report.load import Evidence, load_evidence
from auditor.report.strings import strings
from auditor.report.together import together
from tests.report import golden


@pytest.fixture(scope="module", params=golden.SAMPLES)
def evidence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """A recorded sample."""
    return load_evidence(golden.written(request.param, tmp_path_factory.mktemp("run") / "run"))


def test_tables_of_several_attacks_lose_no_figure(evidence: Evidence) -> None:
    words = strings()
    joined = 0
    for scenario in sections.scenario_names(evidence.results):
        blocks = attacks.attack_blocks(evidence.results, scenario, words)
        groups = together(blocks, words)
        assert sorted(b.outcome.key for g in groups for b in g.blocks) == sorted(b.outcome.key for b in blocks)
        for group in (g for g in groups if g.columns):
            joined += 1
            rows = [row for block in group.blocks for row in block.rows]
            assert len(rows) == sum(len(row.cells) for row in group.rows)
            cells = [(cell.value, cell.interval) for row in group.rows for cell in row.cells]
            for row in rows:
                assert (measured(row.measurement), " to ".join(ends(row.measurement))) in cells
                column = group.columns.index(row.name)
                own = " ".join(beside.cells[column].own for beside in group.rows)
                assert floor_text(row.measurement) in (group.floors[column] + own)
                if row.finding and row.finding.status == FindingStatus.EXCEEDS:
                    assert FindingStatus.EXCEEDS in {beside.cells[column].status for beside in group.rows}
    assert joined


def test_the_first_page_quotes_the_wider_of_equal_figures(evidence: Evidence) -> None:
    shown = next(a for a in answers.summarise(evidence.results, strings()).answers if "rebuild a record" in a.question)
    shares = [
        m
        for o in evidence.results.outcomes
        if o.status == OutcomeStatus.MEASURED and not o.control
        for m in o.measurements
        if m.metric == "recovered_share" and m.value is not None and m.interval
    ]
    quoted = [m for m in shares if shown.figure.startswith(measured(m)) and ends(m)[1] in shown.figure]
    assert quoted
    equal = [m for m in shares if m.value == quoted[0].value]
    assert ends(max(equal, key=lambda m: m.interval.high if m.interval else 0.0))[1] in shown.figure


def test_a_cap_is_drawn_only_where_it_holds(evidence: Evidence) -> None:
    words = strings()
    caps = evidence.results.accounting.caps
    bounded = caps is not None and any(point.tpr < 1 for point in caps.roc)
    for scenario in evidence.results.scenarios:
        for figure in rocs.roc_figures(evidence, scenario.name, words):
            sees_updates = bool({"client_update", "aggregate_update", "partial_update"} & set(scenario.grants))
            assert (words.plain("results.roc_cap") in figure.caption) == (bounded and not sees_updates)
            said = [words.plain(f"results.{key}") in figure.caption for key in ("roc_no_cap", "roc_not_capped")]
            assert any(said) == (bounded and sees_updates)


def test_one_attack_of_two_adversaries_is_told_apart(evidence: Evidence) -> None:
    measured_ones = [o for o in evidence.results.outcomes if o.status == OutcomeStatus.MEASURED and not o.control]
    names = {told_apart(evidence.results, o): (o.attack, o.scenario) for o in measured_ones}
    assert len(names) == len(set(names.values())) == len({(o.attack, o.scenario) for o in measured_ones})
