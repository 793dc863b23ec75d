"""Audits of epsilon in whole runs: planned where privacy is promised, found where a user's own step breaks it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditor.accounting.report import accounting_report
from auditor.config.load import load_audit
from auditor.engine.audits import plan_audits
from auditor.engine.practice import silo_sizes
from auditor.engine.units import AUDITED, UnitKind, unit_seed
from auditor.targets.load import load_target
from tests.e2e.audits import DIGITS, TUMOUR, auditor, results_of, written

STEP = """
import torch

RATE, SIGMA, NORM = 8 / 48, {sigma}, 1.0


def release(contributions, step):
    taken = contributions[torch.rand(len(contributions)) < RATE]
    clipped = taken * (NORM / taken.norm(dim=1, keepdim=True)).clamp(max=1.0)
    return clipped.sum(dim=0) + SIGMA * NORM * torch.randn(contributions.shape[1])


def broken(contributions, step):
    raise RuntimeError("no such module")
"""


def audit(folder: Path, *, sigma: float = 1.0, base: dict[str, Any] = TUMOUR, **blocks: Any) -> Path:
    blocks = {"attacks": ["membership/loss-threshold"], "scenarios": ["released-model"], **blocks}
    path = written(folder, base, **blocks)
    (folder / "private.py").write_text(STEP.format(sigma=sigma), encoding="utf-8")
    return path


def planned(path: Path) -> list[Any]:
    document = load_audit(path)
    return [one for one in plan_audits(document.settings, load_target(document)) if one.name != "labels"]


def run(path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    out = path.parent / "run"
    done = auditor("run", path, "--out", out, *arguments)
    assert done.returncode in (0, 1, 3), done.stderr
    return done.returncode, results_of(out)


def findings(results: dict[str, Any], word: str) -> list[dict[str, Any]]:
    return [f for f in results["findings"] if word in f["id"] and not f["id"].endswith(":labels")]


def test_nothing_is_planned_without_a_promise(tmp_path: Path) -> None:
    assert planned(audit(tmp_path / "none", base=DIGITS)) == []
    assert planned(audit(tmp_path / "off", epsilon_audit={"enabled": False})) == []
    (noiseless,) = planned(audit(tmp_path / "noiseless", privacy={"noise_multiplier": 0.0}))
    assert noiseless.status == "not_applicable"
    assert "no noise" in noiseless.reason


def test_the_number_of_canaries_follows_from_settings_alone(tmp_path: Path) -> None:
    (default,) = planned(audit(tmp_path / "default"))
    assert default.games * default.setup.canaries >= 9000
    (long,) = planned(audit(tmp_path / "long", federation={"rounds": 3000}))
    assert long.games == 1
    (asked,) = planned(audit(tmp_path / "asked", epsilon_audit={"canaries": 500}))
    assert asked.games * asked.setup.canaries == 500


def test_an_override_is_played_as_it_is_accounted(tmp_path: Path) -> None:
    override = {"steps": 40, "sampling_rate": 0.01, "reason": "the sample is one percent of the deployment"}
    (found,) = planned(audit(tmp_path, privacy={"override": override}))
    assert (found.setup.steps, found.setup.federation.rounds) == (40, 40)
    assert found.setup.federation.local.batch_size / found.setup.units == pytest.approx(0.01)


def test_the_silo_where_epsilon_is_largest_is_played(tmp_path: Path) -> None:
    """Unequal silos: the account is that of one silo, so a game of average ones would be blunter than the account."""
    path = audit(tmp_path, federation={"partition": {"scheme": "dirichlet", "alpha": 5.0}})
    document = load_audit(path)
    target = load_target(document)
    (found,) = planned(path)
    silos = silo_sizes(
        target, document.settings.federation, seed=unit_seed(document.settings.audit.seed, UnitKind.TRAIN, AUDITED)
    )
    settings, records = document.settings, len(target.members)
    accounted = accounting_report(settings, positions=document.positions, records=records, silos=silos)
    assert accounted.spec["records_in_silo"] == round(8 / found.spec.phases[0].rate)
    assert accounted.spec["sampling_rate"] == found.spec.phases[0].rate > 8 * 2 / len(target.members)
    assert found.setup.federation.local.batch_size / found.setup.units == pytest.approx(found.spec.phases[0].rate)
    assert found.setup.steps == found.spec.steps


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any]]:
    return run(audit(tmp_path_factory.mktemp("right")), "--fail-on", "exceeds")


def test_a_run_prints_the_bound_with_its_power(right: tuple[int, dict[str, Any]]) -> None:
    code, results = right
    assert code == 0
    found, labels = results["accounting"]["audits"]
    assert found["status"] == labels["status"] == "measured"
    assert labels["canaries"] == 96
    assert labels["accounted"] > found["accounted"]  # a changed label replaces a record
    assert labels["bounds"][0]["epsilon"] < labels["accounted"]
    assert found["canaries"] >= 9000
    (bound,) = [bound for bound in found["bounds"] if bound["proven"]]
    assert 0 <= bound["epsilon"] < found["accounted"] == results["accounting"]["epsilon"]["upper"]
    (finding,) = findings(results, "epsilon_audit")
    assert finding["status"] == ("within" if bound["ceiling"] > found["accounted"] else "inconclusive")
    assert "could have shown at most" in finding["sentence"]


def test_the_claim_reaches_the_controls(right: tuple[int, dict[str, Any]]) -> None:
    (claim,) = [claim for claim in right[1]["claims"] if claim["id"] == "measured:epsilon:mechanism"]
    assert claim["evidence_kind"] == "dp_empirical_lower_bound"
    assert any("dp_empirical_lower_bound" in row["evidence_kinds"] for row in right[1]["controls"])


@pytest.mark.parametrize(("sigma", "wrong"), [(1.0, False), (0.5, True), (0.0, True)])
def test_a_users_own_step_is_told_from_what_was_declared(tmp_path: Path, sigma: float, wrong: bool) -> None:
    path = audit(tmp_path, sigma=sigma, epsilon_audit={"code": "private.py:release"})
    code, results = run(path, "--fail-on", "exceeds")
    disagreements = findings(results, "accounting:disagreement:code")
    assert code == int(wrong)
    assert bool(disagreements) is wrong
    if wrong:
        assert disagreements[0]["sentence"].startswith("The declared settings and the running code disagree.")
        claims = {claim["id"]: claim["supports"] for claim in results["claims"]}
        assert claims["measured:epsilon:code"] is claims["bound:consistency"] is False


BY_CLIENT = {
    "mechanism": "dp_fedavg",
    "protects": "client",
    "adjacency": "add_or_remove",
    "noise_multiplier": 2.0,
    "sampling": "full",
}


def test_client_level_privacy_gets_canary_clients_that_decide_nothing(tmp_path: Path) -> None:
    path = audit(tmp_path, privacy=BY_CLIENT, federation={"clients": 12, "rounds": 4})
    code, results = run(path, "--fail-on", "exceeds")
    assert code == 0
    (found,) = [one for one in results["accounting"]["audits"] if one["name"] == "clients"]
    assert (found["status"], found["canaries"], found["bounds"]) == ("measured", 20, [])
    assert found["estimate"] > 0
    assert "an estimate, not a bound" in found["estimate_method"]
    (finding,) = [f for f in results["findings"] if f["id"] == "accounting:epsilon_estimate:clients"]
    assert finding["status"] == "not_applicable"
    assert "heuristic" in finding["sentence"]
    assert "measured:epsilon:clients" not in {claim["id"] for claim in results["claims"]}
    page = (tmp_path / "run" / "release" / "report.html").read_text(encoding="utf-8")
    assert "Cosines of canary clients with the final model" in page


def test_record_level_privacy_gets_none(tmp_path: Path) -> None:
    assert "clients" not in {one.name for one in planned(audit(tmp_path))}


def test_few_canaries_miss_it_and_say_what_they_could_have_shown(tmp_path: Path) -> None:
    code, results = run(audit(tmp_path, sigma=0.5, epsilon_audit={"code": "private.py:release", "canaries": 100}))
    (finding,) = findings(results, "epsilon_audit")
    assert code == 0
    assert finding["status"] == "inconclusive"
    assert "could have shown at most" in finding["sentence"]
    wanted = re.fullmatch(r"Raise epsilon_audit\.canaries to about ([\d,]+)\.", finding["advice"])
    assert wanted
    assert 1_000 <= int(wanted[1].replace(",", "")) <= 10_000


def test_a_step_that_fails_leaves_the_run_incomplete(tmp_path: Path) -> None:
    code, results = run(audit(tmp_path, epsilon_audit={"code": "private.py:broken", "canaries": 100}))
    (finding,) = findings(results, "epsilon_audit")
    assert code == 3
    assert finding["status"] == "failed"
    assert "private.py:broken failed at line" in finding["sentence"]


def test_a_step_that_is_missing_is_refused_at_once(tmp_path: Path) -> None:
    path = audit(tmp_path, epsilon_audit={"code": "private.py:relase"})
    done = auditor("run", path, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "epsilon_audit.code" in done.stderr
    assert "release" in done.stderr


def test_games_are_resumed(tmp_path: Path) -> None:
    path = audit(tmp_path, epsilon_audit={"canaries": 2000})
    _, first = run(path)
    _, again = run(path)
    assert first["accounting"]["audits"] == again["accounting"]["audits"]
    assert yaml.safe_load((tmp_path / "run" / "plan.json").read_text())["epsilon_audits"][0]["games"] == 2
