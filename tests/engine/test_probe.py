"""What turns a declared cost into seconds."""

import time

import pytest

from auditor.attacks.base import Cost
from auditor.engine import probe
from auditor.engine.probe import Speed, measure_speed
from tests.engine.observations import picture_target
from tests.engine.targets import document

SPEED = Speed(single=0.005, gradient=0.012, records=8, step=0.001, record=1e-6, row=1e-4, pace=2.0)


def test_each_kind_of_work_has_its_price() -> None:
    shape = picture_target().model.shape.model_copy(update={"records_per_update": 8})
    assert SPEED.attack_seconds(Cost(gradient_evaluations=10), shape=shape) == pytest.approx(0.12)
    assert SPEED.attack_seconds(Cost(record_gradients=1000), shape=shape) == pytest.approx(0.1)
    assert SPEED.attack_seconds(Cost(seconds=3.0), shape=shape) == pytest.approx(6.0)
    candidates = shape.members + shape.nonmembers
    assert SPEED.attack_seconds(Cost(queries=4), shape=shape) == pytest.approx(4e-6 * candidates)


def test_gradients_of_single_records_are_counted_in_passes_of_a_batch() -> None:
    assert Cost(record_gradients=1000).passes(200) == 5
    assert Cost(record_gradients=1000).passes(0) == 1000
    assert Cost(gradient_evaluations=7, record_gradients=10).passes(5) == 7


def test_a_machine_that_is_busy_with_other_things_looks_as_fast() -> None:
    """Waiting is not work: on the CPU only the processor's time counts; elsewhere the clock on the wall."""

    def waits() -> None:
        time.sleep(0.03)

    assert probe._fastest(waits, "cpu") < 0.01
    assert probe._fastest(waits, "mps") >= 0.03


def test_speeds_are_measured(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Many gradients at once are cheaper, each, than one alone."""
    speed = measure_speed(picture_target(), document(tmp_path).settings.federation, device="cpu")
    assert speed.row is not None
    assert 0 < speed.row < speed.single
    assert 0.05 < speed.pace < 50
