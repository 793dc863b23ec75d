import json
import re
from pathlib import Path

import pytest

from auditor.core.results import Results
from tests.e2e.audits import DIGITS, TUMOUR, auditor, journalled, results_of, substance, written


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the digits audit with serial execution."""
    folder = tmp_path_factory.mktemp("digits")
    done = auditor("run", written(folder, DIGITS), "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert str(folder / "run" / "results.json") in done.stdout.splitlines()
    return folder / "run"


def test_results_can_be_read_back(finished: Path) -> None:
    results = Results.from_json(results_of(finished))
    assert results.run.complete
    assert results.name == "Tiny digits"
    assert results.to_json() == results_of(finished)


def test_every_planned_attack_has_exactly_one_outcome(finished: Path) -> None:
    plan = json.loads((finished / "plan.json").read_text())
    planned = [(row["scenario"], row["attack"], row["state"]) for row in plan["attacks"]]
    outcomes = [(o["scenario"], o["attack"], o["state"]) for o in results_of(finished)["outcomes"]]
    assert planned == outcomes
    assert len(set(planned)) == len(planned)


def test_what_was_measured_has_numbers_with_intervals_and_effort(finished: Path) -> None:
    measured = [o for o in results_of(finished)["outcomes"] if o["status"] == "measured"]
    assert {o["attack"] for o in measured} >= {"inversion/labels", "inversion/linear-layer", "membership/lira"}
    for outcome in measured:
        assert outcome["measurements"]
        assert outcome["effort"]["cpu_seconds"] >= 0
        assert all(m["interval"] or m["refused"] for m in outcome["measurements"])


def test_the_silos_of_the_federation_are_named(finished: Path) -> None:
    """240 records, 40 % of them members, dealt to three clients."""
    assert results_of(finished)["accounting"]["silos"] == [32, 32, 32]


def test_arrays_are_named_by_their_hash_and_no_file_but_results_names_them(finished: Path) -> None:
    refs = results_of(finished)["arrays"]
    assert refs
    assert all((finished / ref["file"]).is_file() for ref in refs)


def test_the_report_is_rendered(finished: Path) -> None:
    page = (finished / "release" / "report.html").read_text(encoding="utf-8")
    assert "Tiny digits" in page


def test_nothing_names_the_folder_of_the_user(finished: Path) -> None:
    text = (finished / "results.json").read_text()
    assert str(finished) not in text
    assert not re.search(r"/(tmp|home|root|work)/", text)


def test_running_again_computes_nothing_and_gives_the_same(finished: Path) -> None:
    before, lines = substance(finished), len(journalled(finished))
    done = auditor("run", finished.parent / "audit.yaml", "--out", finished)
    assert done.returncode == 0
    assert substance(finished) == before
    assert len(journalled(finished)) == lines
    assert " 0 were done now" in done.stderr


def test_processes_give_the_same_results(finished: Path, tmp_path: Path) -> None:
    audit = finished.parent / "audit.yaml"
    done = auditor("run", audit, "--out", tmp_path / "run", "--executor", "processes", "--workers", "2")
    assert done.returncode == 0, done.stderr
    one, other = substance(finished), substance(tmp_path / "run")
    one["settings"].pop("compute"), other["settings"].pop("compute")
    one["run"].pop("settings_sha256"), other["run"].pop("settings_sha256")
    assert one == other
    keys = {line["key"]: line["sha256"] for line in journalled(finished)}
    assert {line["key"]: line["sha256"] for line in journalled(tmp_path / "run")} == keys


def test_another_seed_gives_another_result(finished: Path, tmp_path: Path) -> None:
    audit = written(tmp_path, DIGITS, audit={"seed": 6}, attacks=["membership/loss-threshold"])
    assert auditor("run", audit, "--out", tmp_path / "run").returncode == 0

    def auc(run: Path) -> float:
        outcomes = [o for o in results_of(run)["outcomes"] if o["attack"] == "membership/loss-threshold"]
        found = [m["value"] for o in outcomes for m in o["measurements"] if m["metric"] == "auc"]
        return float(found[0])

    assert auc(finished) != auc(tmp_path / "run")


def test_a_table_with_noise_is_audited(tmp_path: Path) -> None:
    done = auditor("run", written(tmp_path, TUMOUR), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    results = results_of(tmp_path / "run")
    assert results["accounting"]["epsilon"]["upper"] > 0
    assert results["settings"]["privacy"]["noise_multiplier"] == 1.0


def test_given_weights_are_audited_as_they_are(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from torch import nn

    audit = written(
        tmp_path,
        DIGITS,
        target={
            "weights": "weights.safetensors",
            "data": {
                **DIGITS["target"]["data"],
                "members": {"count": 80},
                "nonmembers": {"count": 80},
                "population": {"count": 80},
            },
        },
    )
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    with torch.no_grad():
        model[3].weight.zero_()
        model[3].bias.copy_(torch.nn.functional.one_hot(torch.tensor(3), 10) * 9.0)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    done = auditor("run", audit, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    utility = results_of(tmp_path / "run")["target"]["utility"]
    assert utility["accuracy_members"] < 0.3
    assert utility["loss_members"] > 4


def test_fail_on_decides_the_exit_code(finished: Path) -> None:
    audit = finished.parent / "audit.yaml"
    statuses = {finding["status"] for finding in results_of(finished)["findings"]}
    expected = {
        "never": 0,
        "exceeds": int("exceeds" in statuses),
        "inconclusive": int(bool(statuses & {"exceeds", "inconclusive"})),
    }
    assert "inconclusive" in statuses
    for choice, code in expected.items():
        assert auditor("run", audit, "--out", finished, "--fail-on", choice).returncode == code


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_the_plan_is_printed(finished: Path, form: str) -> None:
    done = auditor("plan", finished.parent / "audit.yaml", "--format", form)
    assert done.returncode == 0, done.stderr
    if form == "json":
        rows = json.loads(done.stdout)["attacks"]
        assert {row["status"] for row in rows} <= {"run", "not_applicable", "not_run"}
    else:
        assert "membership/lira" in done.stdout
        assert "6 reference models" in done.stdout
