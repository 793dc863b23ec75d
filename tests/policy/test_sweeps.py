"""Curves of a sweep: read against the limit, told in words, and without any way into a verdict."""

import pytest

from auditor.core.findings import FindingStatus, Threshold
from auditor.core.measurement import Measurement, Outcome
from auditor.core.results import Results, Sweep, SweepPoint
from auditor.core.shape import ModelState
from auditor.policy.judge import judged
from auditor.policy.sweeps import curves, effect
from tests.results_builder import inversion, recovered, results, server

LIMIT = Threshold(metric="recovered_share", limit=0.1, reason="policy")
SETTING = "federation.local.batch_size"


def share(value: float, low: float, high: float) -> Measurement:
    return recovered(value, low, high)


def attacked(scenario: str, found: Measurement) -> Outcome:
    return inversion(found, scenario=scenario, state=ModelState.INITIAL)


OWN = attacked("honest-server", share(0.6, 0.5, 0.7))


def sweep(high: Measurement) -> Sweep:
    points = (
        SweepPoint(value=8, outcomes=(OWN,)),
        SweepPoint(value=32, outcomes=(attacked("honest-server@batch_size=32", high),)),
    )
    return Sweep(setting=SETTING, scenario="honest-server", title="t", declared=8, thresholds=(LIMIT,), points=points)


def run(*sweeps: Sweep) -> Results:
    return judged(results(OWN, scenarios=(server(LIMIT),), sweeps=sweeps))


def test_no_sweep_changes_a_verdict() -> None:
    plain, swept = run(), run(sweep(share(1.0, 0.95, 1.0)))
    for part in ("claims", "coverage", "risks", "limits"):
        assert getattr(plain, part) == getattr(swept, part)
    assert [(f.id, f.status, f.sentence) for f in plain.findings] == [
        (f.id, f.status, f.sentence) for f in swept.findings
    ]
    assert not any("@batch_size" in outcome.scenario for outcome in swept.outcomes)


@pytest.mark.parametrize(
    ("found", "status", "helps"),
    [
        (share(0.02, 0.0, 0.06), FindingStatus.WITHIN, True),
        (share(0.08, 0.02, 0.2), FindingStatus.INCONCLUSIVE, False),
        (share(0.5, 0.4, 0.6), FindingStatus.EXCEEDS, False),
    ],
)
def test_the_whole_interval_decides(found: Measurement, status: FindingStatus, helps: bool) -> None:
    swept = run(sweep(found))
    (curve,) = curves(swept)
    assert [point.status for point in curve.points] == [FindingStatus.EXCEEDS, status]
    finding = next(f for f in swept.findings if f.status == FindingStatus.EXCEEDS)
    measure = next(m for m in finding.measures if m.setting == SETTING)
    assert measure.helps is helps
    assert measure.effect == effect(curve)
    assert ("within the limit at 32" in measure.effect) is helps
    others = [m for m in finding.measures if m.setting != SETTING]
    assert others
    assert all(m.effect == "" and m.helps is None for m in others)
    assert "expected, not measured" in finding.advice.lower()


def test_without_a_sweep_nothing_is_called_measured() -> None:
    finding = next(f for f in run().findings if f.status == FindingStatus.EXCEEDS)
    assert all(m.helps is None and not m.effect for m in finding.measures)
    assert "Expected, not measured" in finding.advice


def test_a_sweep_of_another_adversary_says_nothing_here() -> None:
    other = sweep(share(0.0, 0.0, 0.03)).model_copy(update={"scenario": "another"})
    finding = next(f for f in run(other).findings if f.status == FindingStatus.EXCEEDS)
    assert all(m.helps is None for m in finding.measures)


def test_what_a_sweep_refutes_is_not_offered() -> None:
    finding = next(f for f in run(sweep(share(1.0, 0.9, 1.0))).findings if f.status == FindingStatus.EXCEEDS)
    offered, _, refuted = finding.advice.partition("Tried, and not shown to keep the limit")
    assert "larger batches" not in offered
    assert "100 % at 32" in refuted


def test_values_that_were_tried_keep_their_status_and_their_trials() -> None:
    (curve,) = curves(run(sweep(share(0.02, 0.0, 0.06))))
    assert "over 64 records" in effect(curve)
    assert "above it at 8" in effect(curve)


def test_advice_to_sum_quotes_what_this_run_measured_of_sums() -> None:
    sums = server(LIMIT, name="sums", grants=("aggregate_update",))
    found = judged(results(OWN, attacked("sums", share(0.2, 0.05, 0.4)), scenarios=(server(LIMIT), sums)))
    finding = next(f for f in found.findings if f.status == FindingStatus.EXCEEDS)
    measure = next(m for m in finding.measures if m.setting == "federation.aggregation.secure.enabled")
    assert measure.helps is False
    assert "20 % (95 % interval 5 % to 40 %)" in measure.effect
    assert "inconclusive against the limit of 10 %" in measure.effect
