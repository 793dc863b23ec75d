"""Where a public accountant answers wrongly, this project must answer rightly.

Each test fixes the right answer; where it is quick, it also shows the library's. A library that is mended makes the
second half of its test fail, which is the time to trust it again.
"""

import math
import warnings

import numpy as np
import pytest

from auditor.accounting.account import Effort, account
from auditor.accounting.bracket import Bracket, LossEngine
from auditor.accounting.caps import loss_profile
from auditor.accounting.crosscheck import crosscheck
from auditor.accounting.pairs import FinitePair
from auditor.accounting.saddle import Event
from auditor.core.privacy import Agreement, EngineValue
from tests.accounting.specs import OWN, poisson_spec


def test_opacus_prv_is_too_low_at_tiny_delta() -> None:
    first = account(poisson_spec((1.0, 0.01, 1000), delta=1e-12), OWN)
    assert first.lower > 3.9134
    second = account(poisson_spec((0.8, 0.004, 5000), delta=1e-13), OWN)
    assert second.lower > 5.92


def test_pld_falls_below_the_truth_at_tiny_delta() -> None:
    found = account(poisson_spec((2.0, 0.05, 2000), delta=1e-12), OWN)
    assert found.lower > 9.08942
    assert found.upper > 9.09094


def test_pld_is_infinite_and_prv_raises_at_1e_minus_15() -> None:
    found = account(poisson_spec((0.8, 0.004, 5000), delta=1e-15), OWN)
    assert found.upper == pytest.approx(6.778, abs=2e-3)


def test_pld_ignores_the_count_of_randomised_response() -> None:
    yes = 0.75
    pair = FinitePair((yes, 1 - yes), (1 - yes, yes))
    found = LossEngine([Event(pair, 100)]).epsilon(1e-5)
    assert found.lower > 60
    from dp_accounting import NeighboringRelation, dp_event
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(NeighboringRelation.REPLACE_ONE)
    accountant.compose(dp_event.RandomizedResponseDpEvent(noise_parameter=0.5, num_buckets=2), 100)
    assert accountant.get_epsilon(1e-5) < 2


def test_pld_total_variation_of_a_long_run() -> None:
    profile = loss_profile(poisson_spec((1.0, 0.001, 1_000_000), delta=1e-6))
    assert profile is not None
    assert profile.advantage() == pytest.approx(0.487, abs=2e-3)


def test_default_pld_grid_is_loose_for_tiny_losses() -> None:
    assert account(poisson_spec((20.0, 0.001, 100), delta=1e-5), OWN).upper < 0.00085
    assert account(poisson_spec((0.8, 1e-5, 100_000), delta=1e-8), OWN).upper < 0.0281


def test_optimistic_pld_is_no_lower_bound_worth_having() -> None:
    assert account(poisson_spec((4.0, 0.01, 10_000), delta=1e-5), OWN).lower > 0.946


def test_riskcal_caps_fall_below_the_diagonal() -> None:
    second = loss_profile(poisson_spec((1.12, 0.0042666667, 14063), delta=1e-5))
    fourth = loss_profile(poisson_spec((1.0, 0.0065493889, 5000), delta=1e-9))
    assert second is not None
    assert fourth is not None
    assert second.tpr(1e-6) == pytest.approx(1.45e-5, rel=5e-3)
    assert fourth.tpr(1e-5) == pytest.approx(1.41e-4, rel=5e-3)


def test_prv_accountant_excludes_the_truth_at_small_noise() -> None:
    found = account(poisson_spec((0.3, 0.01, 1000), delta=1e-5), OWN)
    assert 69.80 < found.lower <= found.upper < 69.83
    claim = EngineValue(engine="PRV (prv-accountant)", version="0.2.0", lower=69.95, estimate=69.96, upper=69.97)
    pld = EngineValue(engine="PLD (dp-accounting)", version="0.6.0", upper=69.8257)
    verdict = crosscheck(Bracket(found.lower, found.upper), [claim, pld], 1e-5)
    assert verdict.agreement is Agreement.REFINED
    assert "outvoted" in verdict.warnings[0]


def test_prv_accountant_raises_and_the_answer_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    import prv_accountant

    def broken(*args: object, **options: object) -> None:
        raise RuntimeError("Discrete mean differs from continuous mean")

    monkeypatch.setattr(prv_accountant, "PRVAccountant", broken)
    found = account(poisson_spec((1.0, 0.01, 100), delta=1e-5))
    prv = next(engine for engine in found.engines if engine.engine.startswith("PRV"))
    assert prv.note == "failed: RuntimeError: Discrete mean differs from continuous mean"
    assert found.agreement is Agreement.AGREED


def test_noise_that_underflows_falls_back_with_a_reason() -> None:
    found = account(poisson_spec((0.01, 0.01, 10), delta=1e-5), OWN)
    assert math.isfinite(found.upper)
    assert found.agreement is Agreement.BOUND_ONLY
    assert any("Fall-back" in warning for warning in found.warnings)


def test_opacus_epsilon_is_negative_for_little_privacy_loss() -> None:
    from auditor.accounting.libraries import opacus_rdp

    found = account(poisson_spec((10.0, 1e-4, 1), delta=0.1), OWN)
    assert found.lower == found.upper == 0.0
    analysis = opacus_rdp()
    orders = [1 + x / 10.0 for x in range(1, 100)] + [float(order) for order in range(12, 64)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        renyi = analysis.compute_rdp(q=1e-4, noise_multiplier=10.0, steps=1, orders=orders)
        assert analysis.get_privacy_spent(orders=orders, rdp=renyi, delta=0.1)[0] < 0


def test_central_limit_is_no_bound() -> None:
    assert account(poisson_spec((0.5, 0.001, 10), delta=1e-5), OWN).lower > 1.08
    assert account(poisson_spec((0.4, 1e-4, 10_000), delta=1e-5), OWN).lower > 4.08


def test_renyi_orders_that_do_not_converge_are_loose_not_wrong() -> None:
    found = account(poisson_spec((0.5, 0.05, 1000), delta=1e-5), Effort(precision=1e-3))
    renyi = {engine.engine: engine.upper for engine in found.engines if engine.engine.startswith("RDP")}
    assert renyi["RDP (dp-accounting)"] > renyi["RDP (opacus)"] + 5
    assert found.agreement is Agreement.AGREED


def test_dispute_quotes_the_larger_bound() -> None:
    liar = EngineValue(engine="PRV (prv-accountant)", version="0", lower=3.0, estimate=3.1, upper=3.2)
    verdict = crosscheck(Bracket(1.0, 1.001), [liar], 1e-5)
    assert (verdict.agreement, verdict.upper) == (Agreement.DISPUTED, 3.2)
    assert verdict.warnings


def test_outside_its_range_a_library_is_not_counted() -> None:
    low = EngineValue(engine="PLD (dp-accounting)", version="0", upper=0.5)
    verdict = crosscheck(Bracket(1.0, 1.001), [low], 1e-12)
    assert (verdict.agreement, verdict.upper) == (Agreement.SINGLE, 1.001)
    assert "valid range" in verdict.warnings[0]


def test_a_thousand_different_rounds_are_answered() -> None:
    random = np.random.default_rng(3)
    phases = [
        (float(s), float(q), 1)
        for s, q in zip(random.uniform(0.7, 2, 1000), random.uniform(1e-3, 5e-2, 1000), strict=True)
    ]
    found = account(poisson_spec(*phases, delta=1e-6), OWN)
    assert found.upper - found.lower <= 1e-3 * found.upper
