"""What is wrong is said in one sentence with what to change; what was computed is kept."""

import resource
from pathlib import Path

from auditor.engine.footprint import FILE as FINGERPRINTS
from auditor.store.run_directory import RunDirectory
from tests.e2e.audits import DIGITS, Done, auditor, auditor_process, journalled, results_of, written


def refused(done: Done, *words: str, code: int = 2) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_file_in_the_way_of_the_output_folder(tmp_path: Path) -> None:
    audit = written(tmp_path, DIGITS)
    (tmp_path / "run").write_text("a letter")
    refused(auditor("run", audit, "--out", tmp_path / "run"), "is in the way", "--out")
    assert (tmp_path / "run").read_text() == "a letter"


def test_an_output_folder_that_cannot_be_written(tmp_path: Path) -> None:
    audit = written(tmp_path, DIGITS)
    refused(auditor("run", audit, "--out", "/proc/auditor"), "/proc/auditor cannot be written", "--out")


def test_an_output_folder_with_other_files(tmp_path: Path) -> None:
    audit = written(tmp_path / "audit", DIGITS)
    refused(auditor("run", audit, "--out", tmp_path / "audit"), "holds other files", "--out")


def test_a_full_disk_keeps_what_was_finished(tmp_path: Path) -> None:
    """No file may grow beyond a limit: what a write then meets is what it meets on a full disk."""
    audit = written(tmp_path, DIGITS)
    limit = 30_000
    with RunDirectory(tmp_path / "run").opened() as directory:  # written before any unit, and larger than they are
        first = directory.write_restricted(FINGERPRINTS, b"{}")

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = auditor_process("run", audit, "--out", tmp_path / "run", preexec_fn=full)
    refused(done, "the disk is full", "run again with the same --out", code=3)
    kept = {line["key"] for line in journalled(tmp_path / "run")}
    assert kept
    first.unlink()
    assert auditor("run", audit, "--out", tmp_path / "run").returncode == 0
    lines = [line["key"] for line in journalled(tmp_path / "run")]
    assert kept <= set(lines)
    assert len(set(lines)) == len(lines)


def test_a_loss_that_is_not_a_number_fails_what_needs_the_model_and_keeps_the_rest(tmp_path: Path) -> None:
    wild = {**DIGITS["federation"]["local"], "learning_rate": 1e12}
    audit = written(tmp_path, DIGITS, federation={"local": wild})
    done = auditor("run", audit, "--out", tmp_path / "run")
    refused(done, "learning_rate", code=3)
    outcomes = results_of(tmp_path / "run")["outcomes"]
    trained = [o for o in outcomes if o["state"] == "trained"]
    assert {o["status"] for o in trained} == {"failed"}
    assert all("learning_rate" in why for o in trained for why in o["reasons"])
    assert any(o["status"] == "measured" for o in outcomes if o["state"] == "initial")
    assert (tmp_path / "run" / "release" / "report.html").is_file()


def test_unknown_attacks_and_parameters_are_named_with_place_and_suggestion(tmp_path: Path) -> None:
    audit = written(tmp_path, DIGITS, parameters={"membership/lira": {"reference_modls": 5}})
    for name in ("plan", "run"):
        options = ("--out", tmp_path / "run") if name == "run" else ()
        refused(auditor(name, audit, *options), "audit.yaml:", "did you mean 'reference_models'?")


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    audit = written(tmp_path, DIGITS, compute={"device": "cuda:7"})
    refused(auditor("run", audit, "--out", tmp_path / "run"), "compute.device: cuda:7", "'auto' or 'cpu'")


def test_a_damaged_unit_is_named_and_done_again_once_deleted(tmp_path: Path) -> None:
    audit = written(tmp_path, DIGITS, attacks=["membership/loss-threshold"])
    run = tmp_path / "run"
    assert auditor("run", audit, "--out", run).returncode == 0
    attack = next(line for line in journalled(run) if line["kind"] == "attack")
    output = run / "units" / attack["key"] / "output.safetensors"
    content = bytearray(output.read_bytes())
    content[:8] = b"\xff" * 8
    output.write_bytes(content)
    damaged = auditor("run", audit, "--out", run)
    assert damaged.returncode == 3
    assert "is damaged" in str(results_of(run)["outcomes"]) + damaged.stderr
    output.unlink()
    assert auditor("run", audit, "--out", run).returncode == 0
