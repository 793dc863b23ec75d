import pytest
from typer.testing import CliRunner

from auditor.cli.controls import app
from auditor.core.errors import AuditorError, ExitCode


def test_clean_packs_pass():
    found = CliRunner().invoke(app, ["lint", "--today", "2026-11-20"])
    assert found.exit_code == ExitCode.COMPLETE
    assert found.stdout == ""
    assert "142 entries in 6 packs: no problems." in found.stderr


def test_stale_packs_fail_and_are_named():
    found = CliRunner().invoke(app, ["lint", "--today", "2028-01-01"])
    assert found.exit_code == ExitCode.FINDING
    assert "gdpr.yaml: gdpr-art-32-1-d: is stale: last checked on 2026-11-20, 407 days ago" in found.stdout


def test_a_shorter_age_is_a_choice():
    assert CliRunner().invoke(app, ["lint", "--today", "2026-11-25", "--max-age", "3"]).exit_code == ExitCode.FINDING


def test_a_day_that_is_none():
    with pytest.raises(AuditorError, match="--today: 'soon' is not a date"):
        CliRunner().invoke(app, ["lint", "--today", "soon"], catch_exceptions=False)
