"""Killed at any instant, an audit goes on where it was and ends as if nothing had happened."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.audits import DIGITS, auditor, command, environment, journalled, results_of, substance, written


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = auditor("run", written(folder, DIGITS), "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder


def start(folder: Path, run: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command("run", folder / "audit.yaml", "--out", run, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def wait_for_units(run: Path, process: "subprocess.Popen[str]", count: int) -> None:
    """Until so many units are journalled, or the run has ended."""
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        if (run / "journal.jsonl").exists() and len(journalled(run)) >= count:
            return
        time.sleep(0.005)


def stop(process: "subprocess.Popen[str]", number: signal.Signals) -> str:
    process.send_signal(number)
    return process.communicate(timeout=60)[1]


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_sigkill_again_and_again_loses_and_repeats_nothing(uninterrupted: Path, tmp_path: Path, executor: str) -> None:
    run, options = tmp_path / "run", ("--executor", executor)
    chance = random.Random(7)
    done: set[str] = set()
    for count in (1, 8, 30):
        process = start(uninterrupted, run, *options)
        wait_for_units(run, process, count)
        time.sleep(chance.random() * 0.05)
        stop(process, signal.SIGKILL)
        now = {line["key"] for line in journalled(run)}
        assert done <= now
        done = now
    assert auditor("run", uninterrupted / "audit.yaml", "--out", run, *options).returncode == 0
    lines = journalled(run)
    assert len({line["key"] for line in lines}) == len(lines), "a finished unit was done again"
    before = {line["key"]: line["sha256"] for line in journalled(uninterrupted / "run")}
    assert {line["key"]: line["sha256"] for line in lines} == before
    one, other = substance(uninterrupted / "run"), substance(run)
    for results in (one, other):
        results["settings"].pop("compute")
        results["run"].pop("settings_sha256")
    assert one == other


def test_an_interruption_says_how_to_go_on_and_exits_with_130(uninterrupted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(uninterrupted, run)
    wait_for_units(run, process, 2)
    said = stop(process, signal.SIGINT)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert f"--out {run}" in said
    assert len(journalled(run)) >= 2


def test_a_changed_protocol_is_refused_in_the_same_folder(uninterrupted: Path, tmp_path: Path) -> None:
    changed = written(tmp_path, DIGITS, parameters={"membership/lira": {"reference_models": 5}})
    done = auditor("run", changed, "--out", uninterrupted / "run")
    assert done.returncode == 2
    assert "membership/lira" in done.stderr
    assert "Put the value back, or start a new run" in done.stderr
    assert "--out" in done.stderr


def test_a_saved_plan_is_kept_to(uninterrupted: Path, tmp_path: Path) -> None:
    """Limits fixed before the run hold in a new folder too, and for whoever reads the results."""
    audit = written(tmp_path, DIGITS, attacks=["membership/loss-threshold"])
    plan = tmp_path / "plan.json"
    assert auditor("plan", audit, "--save", plan).returncode == 0
    value = json.loads(plan.read_text())
    assert value["planned"]
    assert any(value["protocol"]["thresholds"].values())
    assert auditor("run", audit, "--out", tmp_path / "run", "--plan", plan).returncode == 0
    assert "same     protocol and limits" in auditor("verify", tmp_path / "run", "--quick").stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    results["scenarios"][1]["thresholds"][0]["limit"] = 0.99
    (tmp_path / "run" / "results.json").write_text(json.dumps(results))
    assert "are not the planned ones" in auditor("verify", tmp_path / "run", "--quick").stdout
    refused = auditor("run", uninterrupted / "audit.yaml", "--out", tmp_path / "other", "--plan", plan)
    assert refused.returncode == 2
    assert "plan.json" in refused.stderr
    assert "save a new plan" in refused.stderr
    plan.write_text(plan.read_text().replace('"limit": 0.', '"limit": 0.1'))
    assert "was altered" in auditor("run", audit, "--out", tmp_path / "third", "--plan", plan).stderr


def test_a_setting_that_the_verdict_rests_on_is_not_changed_in_the_same_folder(
    uninterrupted: Path, tmp_path: Path
) -> None:
    """Refused by name, with the old and the new value; what was computed stays, and a new folder takes it."""
    run = tmp_path / "run"
    audit = written(tmp_path, DIGITS, attacks=["membership/loss-threshold"])
    assert auditor("run", audit, "--out", run).returncode == 0
    before = {line["key"] for line in journalled(run)}
    faster = {"local": {"epochs": 1, "batch_size": 8, "learning_rate": 0.2}}
    written(tmp_path, DIGITS, attacks=["membership/loss-threshold"], federation=faster)
    refused = auditor("run", audit, "--out", run)
    assert refused.returncode == 2
    assert "learning_rate" in refused.stderr
    assert "0.2" in refused.stderr
    assert {line["key"] for line in journalled(run)} == before
    assert auditor("run", audit, "--out", tmp_path / "other").returncode == 0


def test_what_does_not_fit_into_the_budget_is_not_run_and_done_by_the_next_run(tmp_path: Path) -> None:
    audit = written(tmp_path, DIGITS, budget={"minutes": 1e-6})
    first = auditor("run", audit, "--out", tmp_path / "run")
    assert first.returncode == 3, first.stderr
    assert "Incomplete" in first.stderr
    ends = {o["status"] for o in results_of(tmp_path / "run")["outcomes"]}
    assert "not_run" in ends
    reasons = [
        why for o in results_of(tmp_path / "run")["outcomes"] if o["status"] == "not_run" for why in o["reasons"]
    ]
    assert all("budget" in why for why in reasons)
    written(tmp_path, DIGITS)
    assert auditor("run", audit, "--out", tmp_path / "run").returncode == 0
    assert all(o["status"] != "not_run" for o in results_of(tmp_path / "run")["outcomes"])
