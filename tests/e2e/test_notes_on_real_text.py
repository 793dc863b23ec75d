"""The sample for text on real clinical notes: the same model and federation, another file of notes."""

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.audits import auditor, results_of

WORDS = 12


@pytest.fixture(scope="module")
def results(repository: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Notes of at least twelve words, each once; labels are the sections of the record that they stand in."""
    folder = tmp_path_factory.mktemp("notes")
    shutil.copy(repository / "samples" / "notes" / "target.py", folder)
    with gzip.open(shared_data / "data" / "text" / "mts_dialog_clinical.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = {row["text"]: row["label"] for row in rows if len(re.findall(r"\w+", row["text"])) >= WORDS}
    lines = [json.dumps({"text": text, "outcome": label}) for text, label in texts.items()]
    (folder / "notes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    audit = yaml.safe_load((repository / "samples" / "notes" / "audit.yaml").read_text(encoding="utf-8"))
    audit["target"]["data"].update(members={"count": 100}, nonmembers={"count": 100}, population={"count": 100})
    audit["federation"].update(clients=50, rounds=3)
    audit["federation"]["participation"] = {"scheme": "full"}
    audit.update(
        scenarios=["honest-server"],
        attacks=["inversion/dager", "inversion/gradient-matching", "inversion/labels", "inversion/tableak"],
        parameters={"inversion/text-matching": {"iterations": 20, "restarts": 1, "sweeps": 1}},
        budget={"minutes": 10, "updates": 10},
        compute={"executor": "serial"},
        report={"formats": ["html"]},
    )
    (folder / "audit.yaml").write_text(yaml.safe_dump(audit, sort_keys=False), encoding="utf-8")
    done = auditor("run", folder / "audit.yaml", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return results_of(folder / "run")


def test_real_notes_are_read_word_for_word(results: dict[str, Any]) -> None:
    shares = {
        (outcome["state"], m["metric"]): m
        for outcome in results["outcomes"]
        if outcome["attack"] == "inversion/dager" and outcome["scenario"] == "honest-server"
        for m in outcome["measurements"]
    }
    for state in ("initial", "trained"):
        assert shares[state, "recovered_share"]["n"] == 20
        assert shares[state, "exact_text_share"]["value"] >= 0.9
        assert shares[state, "exact_text_share"]["floor"] == 0


def test_attacks_for_other_data_say_why_they_do_not_apply(results: dict[str, Any]) -> None:
    left = [outcome for outcome in results["outcomes"] if outcome["status"] == "not_applicable"]
    assert {"inversion/gradient-matching", "inversion/tableak"} <= {outcome["attack"] for outcome in left}
    assert all(outcome["reasons"] for outcome in left)
