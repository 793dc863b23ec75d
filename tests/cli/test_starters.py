"""``auditor init`` writes what ``auditor check`` accepts at once, for each kind of data."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditor.cli.init import Starter

runner = CliRunner()


@pytest.mark.parametrize("modality", list(Starter))
def test_starter_passes_check(tmp_path: Path, modality: Starter) -> None:
    from auditor.cli.main import app

    made = runner.invoke(app, ["init", "--modality", modality.value, str(tmp_path)])
    assert made.exit_code == 0, made.output
    checked = runner.invoke(app, ["check", "--format", "json", str(tmp_path / "audit.yaml")], catch_exceptions=False)
    assert checked.exit_code == 0
    found = json.loads(checked.stdout)
    assert found["modality"] == modality.value
    assert [split["name"] for split in found["splits"]] == ["members", "nonmembers", "population"]
    assert found["gradient_norm"] > 0


def test_starters_explain_every_line_that_is_off(tmp_path: Path) -> None:
    """Settings that are commented out must be right once the sign is taken away."""
    from auditor.cli.main import app
    from auditor.config.load import load_audit

    runner.invoke(app, ["init", str(tmp_path)])
    path = tmp_path / "audit.yaml"
    lines = path.read_text().splitlines()
    start = next(index for index, line in enumerate(lines) if "mechanism: none" in line)
    switched_on = [
        line.replace("# ", "", 1) if index > start and line.startswith("  # ") else line
        for index, line in enumerate(lines)
    ]
    path.write_text("\n".join(switched_on).replace("mechanism: none", "mechanism: dp_sgd") + "\n")
    privacy = load_audit(path).settings.privacy
    assert (privacy.protects, privacy.noise_multiplier, privacy.claimed_epsilon) == ("record", 1.0, 4.0)


def test_schema_is_json() -> None:
    from auditor.cli.main import app

    ran = runner.invoke(app, ["schema"])
    assert json.loads(ran.stdout)["title"] == "audit.yaml"
