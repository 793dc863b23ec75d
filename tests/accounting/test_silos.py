"""Under record-level DP-SGD the client with the largest epsilon counts."""

import pytest

from auditor.accounting.account import account
from auditor.accounting.from_settings import spec_from_settings
from auditor.accounting.report import accounting_report
from auditor.accounting.silos import worst_silo
from tests.accounting.specs import OWN, federation, privacy


class Blocks:
    def __init__(self, fed, priv):
        self.federation, self.privacy = fed, priv


def fed(**others):
    return federation(clients=20, rounds=5, local={"epochs": 1, "batch_size": 20}, **others)


def upper(held, *, records=None, settings=None):
    spec = spec_from_settings(settings or fed(), privacy(), records=records or 20 * held, held=held)
    return account(spec, OWN).upper


def test_one_record_beyond_a_full_batch_adds_a_step() -> None:
    assert upper(21, records=410) > 1.3 * upper(20, records=410)
    worst = worst_silo(fed(), privacy(), records=410)
    assert worst.held == 21
    assert "20 to 21 records" in worst.note


def test_the_reported_epsilon_is_the_largest_over_silos() -> None:
    silos = (15, 40, 61, 100, 184)
    report = accounting_report(Blocks(fed(), privacy()), positions={}, records=400, silos=silos, effort=OWN)
    largest = max(upper(held, records=400) for held in silos)
    assert report.epsilon is not None
    assert report.epsilon.upper == pytest.approx(largest, rel=1e-3)
    assert report.silos == silos
    assert any("where it is largest" in text for text in report.epsilon.assumptions)


def test_the_deployment_is_spread_like_the_data() -> None:
    worst = worst_silo(
        fed(), privacy(override={"records": 4000, "reason": "a sample of a tenth"}), records=400, silos=(100, 300)
    )
    assert worst.held in (1000, 3000)
    assert worst.spec.population == 4000


def test_unequal_clients_of_unknown_size_are_an_assumption() -> None:
    unequal = fed(partition={"scheme": "dirichlet", "alpha": 0.3})
    report = accounting_report(Blocks(unequal, privacy()), positions={}, records=400, effort=OWN)
    assert report.epsilon is not None
    assert any("were not known" in text for text in report.epsilon.assumptions)


def test_equal_clients_need_no_word() -> None:
    assert worst_silo(fed(), privacy(), records=400).note == ""
