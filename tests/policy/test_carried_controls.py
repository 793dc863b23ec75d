"""Controls that attacks carry beside their own figures."""

import pytest

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
