"""Controls that attacks carry beside their own figures."""

import pytest

from auditor.core.findings import FindingStatus
from auditor.core.shape import ModelState
from auditor.policy.judge import judged
from auditor.policy.negative import control_claims, faulty_control
from auditor.policy.roles import carried_is_clean
from tests.results_builder import measurement, outcome, results


def control(value: float, low: float, high: float, *, metric: str = "control_auc", **other: float):  # type: ignore[no-untyped-def]
    return measurement(value, low, high, metric=metric, **other)


def test_one_control_alone_is_read_at_its_own_level() -> None:
    assert carried_is_clean(control(0.55, 0.501, 0.6)) is False
    assert carried_is_clean(control(0.55, 0.49, 0.61)) is True


def test_many_controls_are_read_together() -> None:
    """Of twenty intervals of 95 %, one misses; a gap that chance does not explain is still found."""
    slight = [outcome(measurement(), control(0.55, 0.501, 0.6), attack=f"membership/a{i}") for i in range(20)]
    assert not faulty_control(results(*slight))
    assert faulty_control(results(slight[0]))
    wide = outcome(measurement(), control(0.7, 0.65, 0.75), attack="membership/b")
    assert faulty_control(results(*slight, wide))


@pytest.mark.parametrize(("low", "clean"), [(0.2, False), (0.08, True)])
def test_answers_about_records_that_nobody_holds_are_a_control(low: float, clean: bool) -> None:
    found = outcome(
        measurement(0.5, 0.4, 0.6, metric="answer_accuracy", floor=0.1),
        control(0.25, low, 0.3, metric="control_answer_accuracy", floor=0.1),
        attack="inference/source",
        attack_class="attribute",
    )
    (claim,) = [claim for claim in control_claims(results(found)) if claim.id.endswith("attribute")]
    assert claim.supports is clean


def membership_claim(*outcomes):  # type: ignore[no-untyped-def]
    (claim,) = [claim for claim in control_claims(results(*outcomes)) if claim.id.endswith("membership")]
    return claim


def test_a_control_below_chance_is_off_too_but_takes_no_answer_away() -> None:
    low = outcome(measurement(), control(0.4, 0.35, 0.45))
    claim = membership_claim(low)
    assert claim.supports is False
    assert "40 % (95 % interval 35 % to 45 %) against 50 %" in claim.sentence
    assert "as they must" not in claim.sentence
    assert not faulty_control(results(low))


def test_what_so_many_intervals_explain_is_named_and_counted() -> None:
    """23 % of 113 recognised at 10 % false alarms is off alone, and not among eighteen."""
    carried = control(0.23, 0.111, 0.37, metric="control_tpr_at_fpr", at={"fpr": 0.1})
    odd = outcome(measurement(), carried, attack="membership/odd")
    assert membership_claim(odd).supports is False
    plain = [outcome(measurement(), control(0.5, 0.4, 0.6), attack=f"membership/a{i}") for i in range(17)]
    claim = membership_claim(odd, *plain)
    assert claim.supports is True
    assert "1 of 18 control figures lies outside chance" in claim.sentence
    assert "11.1 % to 37 %" in claim.sentence


def test_ties_that_name_fewer_are_no_fault() -> None:
    """A threshold over tied scores names fewer than it may, so only more than chance is off."""
    carried = control(0.0, 0.0, 0.04, metric="control_tpr_at_fpr", at={"fpr": 0.1})
    assert membership_claim(outcome(measurement(), carried)).supports is True


def own(value: float, low: float, high: float, attack: str):  # type: ignore[no-untyped-def]
    """A negative control of its own: membership of a model that no record has touched."""
    return outcome(measurement(value, low, high), attack=attack, state=ModelState.INITIAL)


def control_findings(*outcomes):  # type: ignore[no-untyped-def]
    return {f.outcome: f for f in judged(results(*outcomes)).findings if ":control:" in f.id}


def test_own_controls_are_read_as_one_family_as_the_claim_reads_them() -> None:
    slight = own(0.03, 0.0101, 0.06, "membership/odd")
    alone = control_findings(slight)[slight.key]
    assert alone.status == FindingStatus.FAILED
    assert "Bonferroni" not in alone.sentence
    plain = [own(0.01, 0.004, 0.02, f"membership/a{i}") for i in range(19)]
    among = control_findings(slight, *plain)[slight.key]
    assert among.status == FindingStatus.NOT_APPLICABLE
    assert "which 20 such intervals explain (Bonferroni)" in among.sentence
    assert membership_claim(slight, *plain).supports is True
    assert not faulty_control(results(slight, *plain))


def test_a_wide_miss_of_an_own_control_is_a_failed_test_in_any_family() -> None:
    wide = own(0.3, 0.25, 0.35, "membership/bad")
    plain = [own(0.01, 0.004, 0.02, f"membership/a{i}") for i in range(19)]
    found = control_findings(wide, *plain)
    assert found[wide.key].status == FindingStatus.FAILED
    assert "widened for the 20 control figures that are read together" in found[wide.key].sentence
    assert {f.status for key, f in found.items() if key != wide.key} == {FindingStatus.NOT_APPLICABLE}
    assert faulty_control(results(wide, *plain))


def test_carried_controls_count_in_the_family_of_own_ones() -> None:
    slight = own(0.03, 0.0101, 0.06, "membership/odd")
    carried = [outcome(measurement(), control(0.5, 0.4, 0.6), attack=f"membership/c{i}") for i in range(19)]
    assert control_findings(slight, *carried)[slight.key].status == FindingStatus.NOT_APPLICABLE
