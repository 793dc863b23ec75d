import datetime
import json

import pytest
import yaml

from auditor.cli.run import FailOn, exit_code
from auditor.core.errors import AuditorError, SettingsError
from auditor.core.findings import Threshold
from auditor.policy.compare import compare
from auditor.policy.decision_form import template
from auditor.policy.decisions import FILE, decide, load_decisions, read_decisions
from auditor.policy.judge import judged
from auditor.policy.re_audit import is_compared, with_comparison
from tests.results_builder import SHA, inversion, measurement, outcome, recovered, released, results

DAY = datetime.date(2026, 11, 20)
RUN = judged(results(outcome(measurement(0.5, 0.4, 0.6))))
KEY = "released-model:membership/lira@trained:tpr_at_fpr[fpr=0.01]"
SIGNED = {
    "reason": "The model serves forty clinicians behind a login and gives only a class.",
    "person": "A. Assessor",
    "role": "DPO",
    "date": datetime.date(2026, 11, 1),
    "expires": datetime.date(2027, 5, 1),
}


def write(tmp_path, value):
    path = tmp_path / "decisions.yaml"
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value), encoding="utf-8")
    return path


def test_an_accepted_finding_does_not_fail_the_command(tmp_path):
    decided = decide(RUN, load_decisions(write(tmp_path, {"accepted": [SIGNED | {"finding": KEY}]}), as_of=DAY))
    assert decided.accepted_ids == {KEY}
    others = frozenset(f.id for f in RUN.findings if f.id != KEY)
    assert exit_code(RUN, FailOn.EXCEEDS, accepted=others) == 1
    assert exit_code(RUN, FailOn.EXCEEDS, accepted=others | decided.accepted_ids) == 0


def test_an_expired_acceptance_fails_it_again_and_says_so(tmp_path):
    late = datetime.date(2027, 5, 2)
    decided = decide(RUN, load_decisions(write(tmp_path, {"accepted": [SIGNED | {"finding": KEY}]}), as_of=late))
    assert decided.accepted_ids == frozenset()
    assert decided.void == (f"{KEY}: it expired on 2027-05-01",)
    assert exit_code(RUN, FailOn.EXCEEDS, accepted=decided.accepted_ids) == 1


def test_what_was_read_can_be_read_again(tmp_path):
    made = load_decisions(write(tmp_path, {"accepted": [SIGNED | {"finding": KEY}], "overrides": []}), as_of=DAY)
    (tmp_path / FILE).write_text(json.dumps(made.to_json()))
    assert read_decisions(tmp_path) == made
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(AuditorError, match="cannot be used"):
        read_decisions(tmp_path)
    (tmp_path / FILE).unlink()
    assert read_decisions(tmp_path) is None


def test_every_problem_at_once(tmp_path):
    value = {"accepted": [SIGNED | {"finding": KEY, "reason": "ok"}], "overrides": [SIGNED]}
    with pytest.raises(SettingsError) as caught:
        load_decisions(write(tmp_path, value), as_of=DAY)
    assert caught.value.problems[0].startswith("decisions.yaml: accepted 1: reason:")
    assert any(problem.startswith("decisions.yaml: overrides 1:") for problem in caught.value.problems)


@pytest.mark.parametrize("text", ["- 1", "a: [1", "accepted: 1", "other: []"])
def test_files_that_are_no_decisions(tmp_path, text):
    with pytest.raises(AuditorError, match=r"decisions\.yaml"):
        load_decisions(write(tmp_path, text), as_of=DAY)


def filled_in(line, values):
    name, colon, value = line.partition(": ")
    return line if value not in ("", '""') or not colon else f"{name}: {values[name.strip()]}"


def test_the_template_is_a_valid_file_and_stays_one_when_filled_in(tmp_path):
    text = template(RUN)
    empty = load_decisions(write(tmp_path, text), as_of=DAY)
    assert (empty.accepted, empty.overrides) == ((), ())
    lines = text.splitlines()
    values = {**SIGNED, "evidence": "access log", "second_person": "B. Two", "value": 3}
    filled = "\n".join(filled_in(line.removeprefix("# "), values) for line in lines)
    decided = decide(RUN, load_decisions(write(tmp_path, filled), as_of=DAY))
    assert KEY in decided.accepted_ids
    (override,) = decided.overrides
    assert (override.computed, override.value, override.model_sha256) == (4, 3, SHA)
    assert decided.void == ()


def words_before(text, key):
    """The comment just above a key, on one line."""
    lines = text.splitlines()
    place = next(k for k, line in enumerate(lines) if key in line)
    start = max(k for k in range(place) if not lines[k].startswith("##"))
    return " ".join(line.removeprefix("## ") for line in lines[start + 1 : place])


def test_each_open_decision_is_said_in_words():
    wide = inversion(recovered(0.1, 0.05, 0.2))
    found = judged(results(wide, outcome(measurement(0.5, 0.4, 0.6))))
    text = template(found)
    open_ = [f for f in found.findings if f.status in ("exceeds", "inconclusive")]
    assert len(open_) == 2
    for finding in open_:
        said = words_before(text, f"finding: {json.dumps(finding.id)}")
        assert said.endswith(finding.sentence)
        assert said.startswith("Exceeds its limit" if finding.status == "exceeds" else "Inconclusive")
    assert text.index("Exceeds its limit: ") < text.index("Inconclusive: "), "what exceeds comes first"
    for cell in found.risks:
        assert f"{cell.event} ({cell.actor}): likelihood" in " ".join(text.replace("##", "").split())
    assert template(judged(results())).count("people can accept: 0") == 1


def test_words_of_hostile_runs_stay_comments(tmp_path):
    evil = outcome(measurement(0.5, 0.4, 0.6), title="x\naccepted: [1]\x1b[31m\x00\u2028overrides: 2")
    made = load_decisions(write(tmp_path, template(judged(results(evil)))), as_of=DAY)
    assert (made.accepted, made.overrides) == ((), ())


def test_what_was_accepted_before_is_said(tmp_path):
    before = decide(RUN, load_decisions(write(tmp_path, {"accepted": [SIGNED | {"finding": KEY}]}), as_of=DAY))
    said = words_before(template(RUN, before), f"finding: {json.dumps(KEY)}")
    assert said.endswith("Accepted by A. Assessor until 2027-05-01; a new file must hold that again to keep it.")


def run(low, high, limit=0.05, **other):
    scenario = released(Threshold(metric="tpr_at_fpr[fpr=0.01]", limit=limit, reason="five times chance"))
    return judged(results(outcome(measurement((low + high) / 2, low, high, **other)), scenarios=(scenario,)))


def test_only_whole_intervals_apart_are_a_regression():
    assert [c.id for c in compare(run(0.1, 0.2), run(0.3, 0.4)).regressions] == [KEY]
    assert compare(run(0.1, 0.3), run(0.3, 0.4)).regressions == ()
    assert compare(run(0.3, 0.4), run(0.1, 0.2)).regressions == ()


def test_a_limit_that_is_crossed_within_the_intervals_is_no_change():
    """From within to above the limit by chance alone: the statuses differ, the figures do not."""
    found = compare(run(0.0, 0.04), run(0.03, 0.2, limit=0.02))
    assert found.regressions == ()
    assert {change.id: change.direction for change in found.findings}[KEY] == "unclear"


def test_a_lower_figure_is_worse_where_low_means_leakage():
    before, after = (run(low, high, higher_is_worse=False) for low, high in ((0.3, 0.4), (0.1, 0.2)))
    assert [c.id for c in compare(before, after).regressions] == [KEY]


def test_incomparable_runs_have_no_regression():
    after = run(0.3, 0.4)
    other = after.model_copy(update={"run": after.run.model_copy(update={"protocol_sha256": "b" * 64})})
    assert compare(run(0.1, 0.2), other).regressions == ()


def test_a_compared_run_says_so():
    both = with_comparison(run(0.3, 0.4), run(0.1, 0.2))
    assert is_compared(both)
    assert not is_compared(run(0.3, 0.4))
