"""``auditor account``: a missing setting is a mistake and not an answer."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run, refused

BLOCKS = """
federation:
  algorithm: fedavg
  clients: 10
  rounds: 5
  local: {epochs: 1, batch_size: 32, learning_rate: 0.1}
privacy:
  mechanism: dp_sgd
  protects: record
  adjacency: add_or_remove
  sampling: poisson
  noise_multiplier: 1.0
  clipping_norm: 1.0
  delta: 1.0e-5
"""


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    path = tmp_path / "audit.yaml"
    path.write_text(BLOCKS)
    return path


def test_records_that_are_needed_and_missing(auditor: Run, audit: Path) -> None:
    refused(auditor("account", audit), "auditor: audit.yaml: epsilon was not computed. Record-level steps and sampling")
    refused(auditor("account", audit, "--target-epsilon", 3), "auditor account --records N")
    ran = auditor("account", audit, "--format", "json")
    assert ran.code == 2
    assert json.loads(ran.out)["epsilon"] is None
    given = auditor("account", audit, "--records", 5000)
    assert given.code == 0, given
    assert given.out.startswith("Epsilon at most ")


def test_a_sampling_that_needs_no_records(auditor: Run, audit: Path) -> None:
    audit.write_text(BLOCKS.replace("protects: record", "protects: client").replace("dp_sgd", "dp_fedavg"))
    ran = auditor("account", audit)
    assert ran.code == 0, ran
    assert "one client" in ran.out
    assert ran.err == ""


def test_no_mechanism_is_an_answer(auditor: Run, audit: Path) -> None:
    audit.write_text(BLOCKS[: BLOCKS.index("privacy:")] + "privacy: {mechanism: none}\n")
    ran = auditor("account", audit)
    assert (ran.code, ran.out.splitlines()[0]) == (0, "Epsilon: infinite.")


def test_delta_is_said_in_the_same_words_everywhere(auditor: Run, audit: Path) -> None:
    words = "well below one over the number of protected units (records or clients)"
    audit.write_text(BLOCKS.replace("delta: 1.0e-5", "delta: 2.0"))
    refused(auditor("account", audit, "--records", 5000), words)
    audit.write_text(BLOCKS.replace("  delta: 1.0e-5\n", ""))
    refused(auditor("account", audit, "--records", 5000), words)
    audit.write_text(BLOCKS.replace("delta: 1.0e-5", "delta: 0.01"))
    assert words in auditor("account", audit, "--records", 5000).out
    assert words in auditor("explain", "delta").out


def test_the_noise_for_an_epsilon_says_which_clients_it_is_for(auditor: Run, audit: Path) -> None:
    ran = auditor("account", audit, "--records", 5000, "--target-epsilon", 3)
    assert ran.code == 0, ran
    assert "Clients of equal size are assumed" in ran.out


def test_another_sampling_with_another_epsilon_says_why(auditor: Run, audit: Path) -> None:
    """The same noise and batches: two figures, and each output explains the other one in one sentence."""
    told = {}
    for sampling in ("poisson", "shuffled", "fixed_size"):
        audit.write_text(BLOCKS.replace("sampling: poisson", f"sampling: {sampling}"))
        ran = auditor("account", audit, "--records", 5000)
        assert ran.code == 0, ran
        (why,) = (line for line in ran.out.splitlines() if line.startswith("  Sampling: "))
        told[sampling] = (ran.out.splitlines()[0], why)
        assert why.count(". ") == 0
        assert "a coin of its own" in why
    assert len({first for first, _ in told.values()}) == 3
    assert "declare privacy.sampling: shuffled" in told["poisson"][1]
    assert "exactly once a pass" in told["shuffled"][1]
    full = BLOCKS.replace("sampling: poisson", "sampling: full").replace("dp_sgd", "dp_fedavg")
    audit.write_text(full.replace("protects: record", "protects: client"))
    assert "  Sampling: " not in auditor("account", audit).out
