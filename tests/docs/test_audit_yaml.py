"""The settings file shown in the documentation loads, and the page names every setting there is."""

import re
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from auditor.config.load import load_audit, load_scenario
from auditor.config.settings import AuditSettings


def test_the_example_loads(repository: Path, tmp_path: Path) -> None:
    text = (repository / "docs" / "audit-yaml.md").read_text()
    example = re.findall(r"```yaml\n(.*?)```", text, re.S)[0]
    (tmp_path / "audit.yaml").write_text(example)
    document = load_audit(tmp_path / "audit.yaml")
    assert document.settings.privacy.noise_multiplier == 0.8
    line = next(i for i, row in enumerate(example.splitlines(), 1) if "noise_multiplier" in row)
    assert document.positions["privacy.noise_multiplier"].startswith(f"audit.yaml:{line}:")


def test_what_it_says_of_the_experimental_attack_is_so(repository: Path) -> None:
    """The page names the default list that holds it."""
    text = " ".join((repository / "docs" / "audit-yaml.md").read_text().split())
    assert "It is experimental and in the default list of `honest-server` all the same" in text
    assert "membership/update-density" in load_scenario("honest-server", relative_to=repository).attacks


def _names(model: type[BaseModel]) -> set[str]:
    """Every setting name below ``model``, nested models included."""
    names = set(model.model_fields)
    for field in model.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                names |= _names(part)
    return names


def test_the_page_names_every_setting(repository: Path) -> None:
    text = (repository / "docs" / "audit-yaml.md").read_text()
    missing = {name for name in _names(AuditSettings) if not re.search(rf"\b{name}\b", text)}
    assert not missing
