"""Each example rendered once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.report.html import page
from auditor.report.load import Evidence, load_evidence
from tests.report.example_results import EXAMPLES


@pytest.fixture(scope="session")
def evidence_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Evidence]:
    """Evidence of an example by name."""
    known: dict[str, Evidence] = {}

    def get(name: str) -> Evidence:
        if name not in known:
            known[name] = load_evidence(EXAMPLES[name]().write(tmp_path_factory.mktemp(name)))
        return known[name]

    return get


@pytest.fixture(scope="session")
def page_of(evidence_of: Callable[[str], Evidence]) -> Callable[[str], str]:
    """The HTML page of an example by name."""
    known: dict[str, str] = {}

    def get(name: str) -> str:
        if name not in known:
            known[name] = page(evidence_of(name), printed=False)
        return known[name]

    return get


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A finished run."""
    return EXAMPLES["private"]().write(tmp_path / "run")
