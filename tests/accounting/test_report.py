"""From settings to the report, on the command line too."""

import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from auditor.accounting.account import account
from auditor.accounting.calibrate import calibrate
from auditor.accounting.from_settings import spec_from_settings
from auditor.accounting.report import accounting_report
from auditor.accounting.spec import Adjacency, Refused, Sampler, Trust
from auditor.accounting.text import accounting_text, rounded
from auditor.core.privacy import AccountingReport, Agreement
from tests.accounting.specs import OWN, federation, poisson_spec, privacy

AUDIT = """
federation:
  algorithm: fedavg
  clients: 100
  participation: {scheme: poisson, rate: 0.1}
  rounds: 60
privacy:
  mechanism: dp_fedavg
  protects: client
  adjacency: add_or_remove
  noise_multiplier: 1.3
  clipping: {norm: 1.0}
  sampling: poisson
  delta: 1.0e-4
  claimed_epsilon: 1.0
"""


def report(fed: dict[str, Any] | None = None, priv: dict[str, Any] | None = None, **others: Any) -> AccountingReport:
    blocks = SimpleNamespace(federation=federation(**(fed or {})), privacy=privacy(**(priv or {})))
    return accounting_report(blocks, **{"positions": {}, "records": 4000, "effort": OWN, **others})


def test_record_level_steps_follow_from_the_data() -> None:
    spec = spec_from_settings(federation(rounds=30), privacy(), records=4000)
    assert spec.phases[0].rate == pytest.approx(16 / 100)
    assert spec.steps == 30 * 7
    silo = account(poisson_spec((1.5, 0.16, 210), delta=1e-6, unit="record"), OWN)
    assert account(spec, OWN).upper == pytest.approx(silo.upper)


def test_more_noise_means_less_epsilon_through_the_whole_report() -> None:
    weak, strong = report(priv={"noise_multiplier": 1.0}), report(priv={"noise_multiplier": 2.0})
    assert weak.epsilon
    assert strong.epsilon
    assert weak.caps
    assert strong.caps
    assert strong.epsilon.upper < weak.epsilon.lower
    assert strong.caps.advantage < weak.caps.advantage
    assert strong.spec["noise_multiplier"] == 2.0


def test_epsilon_by_round_grows_to_the_total() -> None:
    found = report()
    assert found.epsilon
    uppers = [point.upper for point in found.by_round]
    assert uppers == sorted(uppers)
    assert found.by_round[-1].round == 50
    assert uppers[-1] == found.epsilon.upper


def test_nothing_declared_is_infinite_and_caps_nothing() -> None:
    found = report(priv={"mechanism": "none", "protects": None, "adjacency": None, "sampling": None})
    assert found.epsilon
    assert found.caps
    assert math.isinf(found.epsilon.upper)
    assert found.caps.advantage == 1.0
    assert json.loads(found.model_dump_json())["epsilon"]["upper"] == "Infinity"


@pytest.mark.parametrize("missing", ["protects", "adjacency", "sampling", "noise_multiplier", "delta"])
def test_what_is_not_stated_is_refused_with_the_setting(missing: str) -> None:
    found = report(priv={missing: None})
    assert found.epsilon is None
    assert f"privacy.{missing}" in found.reason


def test_record_level_without_a_number_of_records_is_refused() -> None:
    assert "override.records" in report(records=None).reason


def test_sampler_of_clients_is_poisson_only_if_both_say_so() -> None:
    clients = {"mechanism": "dp_fedavg", "protects": "client"}
    fixed = {"participation": {"scheme": "fixed_size", "count": 10}}
    assert spec_from_settings(federation(**fixed), privacy(**clients)).sampler is Sampler.FIXED_SIZE
    assert spec_from_settings(federation(), privacy(**clients)).sampler is Sampler.FULL


def test_a_record_under_client_level_noise_counts_as_a_replaced_update() -> None:
    spec = spec_from_settings(federation(), privacy(mechanism="dp_fedavg", sampling="full"))
    assert spec.change is Adjacency.REPLACE_ONE
    assert spec.adjacency is Adjacency.ADD_OR_REMOVE


def test_distributed_noise_loses_what_drops_out_and_colludes() -> None:
    fed = federation(aggregation={"secure": {"enabled": True, "dropout": 0.2}})
    override = {"honest_fraction": 0.5, "reason": "half may collude"}
    spec = spec_from_settings(fed, privacy(mechanism="distributed", protects="client", override=override))
    assert spec.trust is Trust.DISTRIBUTED
    assert spec.honest_fraction == pytest.approx(0.4)


def test_alternatives_name_the_other_adjacency_and_the_poisson_figure() -> None:
    found = report(priv={"sampling": "shuffled"})
    kinds = {(other.adjacency, other.sampler) for other in found.alternatives}
    assert kinds == {("replace_one", "shuffled"), ("add_or_remove", "poisson")}
    poisson = next(other for other in found.alternatives if other.sampler == "poisson")
    assert "Not applicable" in poisson.warnings[0]
    assert found.epsilon
    assert found.epsilon.agreement is Agreement.BOUND_ONLY


def test_lints_carry_the_place_in_the_file() -> None:
    found = report(priv={"delta": 1e-3}, positions={"privacy.delta": "audit.yaml:9:3"})
    assert found.lints[0].setting == "privacy.delta (audit.yaml:9:3)"


def test_calibration_reaches_the_target_from_below() -> None:
    spec = poisson_spec((1.0, 0.01, 500), delta=1e-5)
    found = calibrate(spec, 1.5)
    assert found.epsilon.upper <= 1.5
    less = poisson_spec((found.noise_multiplier * 0.99, 0.01, 500), delta=1e-5)
    assert account(less, OWN).upper > 1.5
    with pytest.raises(Refused):
        calibrate(spec, 0.0)


def test_rounding_keeps_the_side() -> None:
    assert float(rounded(1.234561, up=True)) >= 1.234561
    assert float(rounded(1.234569, up=False)) <= 1.234569
    assert rounded(math.inf, up=True) == "inf"


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    path = tmp_path / "audit.yaml"
    path.write_text(AUDIT)
    return path


def test_command_prints_epsilon_and_what_it_means(audit: Path) -> None:
    from auditor.cli.main import app

    result = CliRunner().invoke(app, ["account", str(audit)])
    assert result.exit_code == 0, result.output
    assert "Epsilon at most" in result.output
    assert "too low: the settings give at least" in result.output
    assert "membership: at most" in result.output
    assert "replace one" in result.output
    for word in ("guarantee", "certified", "compliant", "anonymous"):
        assert word not in result.output.lower()


def test_command_prints_json_that_reads_back(audit: Path) -> None:
    from auditor.cli.main import app

    result = CliRunner().invoke(app, ["account", str(audit), "--format", "json"])
    found = AccountingReport.model_validate_json(result.stdout)
    assert found.epsilon
    assert found.epsilon.agreement is Agreement.AGREED
    assert found.epsilon.lower <= found.epsilon.estimate <= found.epsilon.upper


def test_command_finds_the_noise_for_a_target(audit: Path) -> None:
    from auditor.cli.main import app

    result = CliRunner().invoke(app, ["account", str(audit), "--target-epsilon", "3", "--format", "json"])
    found = json.loads(result.stdout)
    assert found["epsilon"]["upper"] <= 3
    assert found["noise_multiplier"] > 0


def test_accounting_never_imports_torch(audit: Path) -> None:
    code = (
        "import sys\nfrom auditor.cli.account import account, Format\nfrom pathlib import Path\n"
        f"account(Path({str(audit)!r}), Format.TEXT, None, None)\n"
        "assert not {'torch', 'opacus'} & set(sys.modules), 'torch was imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_text_says_why_there_is_no_epsilon() -> None:
    assert "override.records" in accounting_text(report(records=None))


def test_a_claim_about_more_people_than_the_sample_fires_no_rule_on_it() -> None:
    claimed = report(priv={"claimed_epsilon": None}).epsilon
    assert claimed is not None
    low = {"claimed_epsilon": int(claimed.lower * 10) / 10}
    assert "DP20" in {entry.id for entry in report(priv=low, people=4000).lints}
    told = report(priv=low, people=100_000)
    assert "DP20" not in {entry.id for entry in told.lints}
    assert "DP20" not in told.lints_checked
