"""Whose folder is it, and what is left to do in it."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from auditor.core.errors import AuditorError
from auditor.engine.executors import Serial
from auditor.engine.kept import require_same_audit
from auditor.engine.left import Left, TimeLeft, told
from auditor.engine.progress import Silent
from auditor.engine.session import Clock, Session, Stage
from auditor.store.run_directory import RunDirectory
from tests.engine.makers import FakeMaker, unit
from tests.engine.targets import digits_target, document

PATH = Path("runs/mine/audit.lock.yaml")


def lock(**changes: Any) -> dict[str, Any]:
    target, asked = digits_target(), document(Path())
    return {
        "id": "1",
        "started": "2026-01-01T00:00:00+00:00",
        "tool_version": "0.0.9",
        "protocol": {},
        "model_sha256": target.model_sha256,
        "splits": {split.name: split.sha256 for split in target.splits},
        "environment": {},
        "paths": {
            "references": "serial",
            "candidates": "serial",
            "references_because": "",
            "candidates_because": "",
        },
        "settings": {"audit": {"name": asked.settings.audit.name}},
    } | changes


def refused(kept: dict[str, Any]) -> str:
    with pytest.raises(AuditorError) as error:
        require_same_audit(kept, document(Path()), digits_target(), path=PATH)
    assert "--out" in str(error.value.remedy)
    return error.value.what


def test_the_same_audit_goes_on() -> None:
    require_same_audit(lock(), document(Path()), digits_target(), path=PATH)


@pytest.mark.parametrize("paths", [None, {}, {"references": "serial"}, "serial"])
def test_a_lock_of_an_older_layout_is_named(paths: Any) -> None:
    kept = lock(paths=paths)
    if paths is None:
        del kept["paths"]
    assert refused(kept) == f"{PATH} was written by auditor 0.0.9 in a layout that this one cannot read ('paths')."


def test_a_lock_without_a_version_is_named_too() -> None:
    assert "written by another version" in refused({"started": "then"})


def test_the_folder_of_another_audit() -> None:
    said = refused(lock(settings={"audit": {"name": "Somebody else's"}}))
    assert said.startswith("runs/mine holds a run of another audit ('Somebody else's'; this is ")


def test_the_folder_of_another_target() -> None:
    assert "another target" in refused(lock(model_sha256="m", splits={}))
    require_same_audit(lock(model_sha256="m"), document(Path()), digits_target(), path=PATH)


def test_what_the_budget_left_is_counted_and_estimated(tmp_path: Path) -> None:
    allowed = iter([None, None, 0.0, 0.0, 0.0])
    with RunDirectory(tmp_path / "run").opened() as directory:
        session = Session(directory, Serial(FakeMaker()), clock=Clock(5), progress=Silent())
        units = [unit(i, does="naps") for i in range(5)]
        session.run_stage(Stage("Reference models", units, 100.0, lambda _: next(allowed)))
    assert [(one.stage, one.units) for one in session.left] == [("Reference models", 3)]
    assert 0.9 <= session.left[0].seconds <= 3.0


def test_before_anything_ran_the_plan_is_the_estimate(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run").opened() as directory:
        session = Session(directory, Serial(FakeMaker()), clock=Clock(5), progress=Silent())
        session.run_stage(Stage("Costly attacks", [unit(i) for i in range(4)], 100.0, lambda _: 0.0))
    assert session.left == [Left("Costly attacks", 4, 100.0)]


def test_a_finished_stage_leaves_nothing(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run").opened() as directory:
        session = Session(directory, Serial(FakeMaker()), clock=Clock(5), progress=Silent())
        session.run_stage(Stage("Quick attacks", [unit(0), unit(1, does="fails")], 1.0, lambda _: None))
    assert session.left == []
    assert told(session.left, failed=len(session.failed), minutes=5) == [
        "1 unit failed for the reasons above; running again tries them again."
    ]


def test_sentences_say_how_often_to_run_again() -> None:
    found = told([Left("Reference models", 24, 700.0), Left("Costly attacks", 3, 50.0)], failed=0, minutes=5)
    assert found == [
        "Left for want of time: Reference models (24 units, about 12 min), Costly attacks (3 units, about 50 s); "
        "together about 12 min.",
        "budget.minutes is 5: raise it, or run again about 3 times.",
    ]


def test_time_left_moves_without_jumps() -> None:
    """Quick units first, slow ones later: the plain mean would fall to 10 s and then leap to 80."""
    clock, left = 0.0, TimeLeft(units=20, expected=100.0, now=0.0)
    shown = [100.0]
    for seconds in [0.5] * 10 + [10.0] * 10:
        clock += seconds
        shown.append(left.unit_ended(clock))
    assert shown[-1] == 0.0
    assert max(abs(b - a) for a, b in itertools.pairwise(shown[:-1])) < 20
    assert shown[1] > 60


def test_time_left_without_an_expectation_follows_the_units() -> None:
    left = TimeLeft(units=4, expected=0.0, now=0.0)
    assert left.unit_ended(2.0) == pytest.approx(6.0)
