"""Sweeps in the audit file: what fits, what does not, and what is played."""

from pathlib import Path

import pytest

from auditor.config.load import load_audit, load_scenario
from auditor.config.settings import SweepSettings
from auditor.config.sweeps import declared_value, varied
from auditor.core.errors import SettingsError

DP = (
    "{mechanism: dp_sgd, protects: record, adjacency: add_or_remove, noise_multiplier: 1.0, clipping_norm: 1.0, "
    "sampling: poisson, delta: 1.0e-5}"
)


def written(tmp_path: Path, repository: Path, sweeps: str) -> Path:
    text = (repository / "samples" / "digits" / "audit.yaml").read_text()
    head, _, rest = text.partition("sweeps:")
    path = tmp_path / "audit.yaml"
    path.write_text(f"{head}sweeps:\n{sweeps}\nbudget: {rest.partition('budget: ')[2]}")
    return path


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ("{setting: federation.rounds, values: [1], attacks: [x]}", "federation.rounds"),
        ("{setting: federation.local.batch_size, values: [0], attacks: [x]}", "0 does not fit"),
        ("{setting: federation.local.batch_size, values: [1.5], attacks: [x]}", "1.5 does not fit"),
        ("{setting: federation.local.batch_size, values: [], attacks: [x]}", "values"),
        ("{setting: privacy.noise_multiplier, values: [1], attacks: [x]}", "sweeps.privacy"),
        ("{setting: federation.clients, values: [2]}", "attacks"),
    ],
)
def test_what_does_not_fit_is_said(sweep: str, says: str, tmp_path: Path, repository: Path) -> None:
    with pytest.raises(SettingsError, match=r"audit\.yaml:\d+") as raised:
        load_audit(written(tmp_path, repository, f"  - {sweep}"))
    assert says in str(raised.value)


def test_one_setting_is_swept_once(tmp_path: Path, repository: Path) -> None:
    sweep = "  - {setting: federation.clients, values: [2], attacks: [x]}\n"
    with pytest.raises(SettingsError, match="twice"):
        load_audit(written(tmp_path, repository, sweep * 2))


def test_only_the_swept_setting_differs(repository: Path) -> None:
    document = load_audit(repository / "samples" / "tumour" / "audit.yaml")
    own = document.settings
    sweep = SweepSettings(setting="privacy.noise_multiplier", values=(0.5,), attacks=("inversion/labels",))
    base = load_scenario("honest-server", relative_to=document.folder)
    played = varied(sweep, base, own, value=0.5)
    assert played.name == "honest-server@noise_multiplier=0.5"
    assert (played.grants, played.thresholds, played.actor) == (base.grants, base.thresholds, base.actor)
    assert played.federation_of(own.federation) == own.federation
    privacy = played.privacy_of(own.privacy)
    assert privacy == own.privacy.model_copy(update={"noise_multiplier": 0.5})
    assert declared_value(sweep, own) == own.privacy.noise_multiplier


def test_another_mechanism_has_no_audited_value(tmp_path: Path, repository: Path) -> None:
    text = f"  - {{setting: privacy.noise_multiplier, values: [2], attacks: [x], privacy: {DP}}}"
    settings = load_audit(written(tmp_path, repository, text)).settings
    assert declared_value(settings.sweeps[0], settings) is None
