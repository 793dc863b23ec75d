"""What exceeds is named and wins; a claimed epsilon that does not follow is said before the run."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from auditor.cli.run import NAMED, FailOn, _summary, exit_code
from auditor.config.document import AuditDocument
from auditor.config.load import load_audit
from auditor.core.results import Results
from auditor.engine.claimed import claim_doubt
from auditor.policy.judge import judged
from tests import results_builder as build

ROOT = Path(__file__).parents[2]


def run(*, complete: bool, exceeds: int = 1, inconclusive: bool = True) -> Results:
    """A run whose findings exceed their limit so many times."""
    rates = [build.measurement(0.3, 0.25, 0.35)] * exceeds
    rates += [build.measurement(0.05, 0.02, 0.1)] if inconclusive else []
    outcomes = [build.outcome(rate, attack=f"membership/attack-{k}") for k, rate in enumerate(rates)]
    results = build.results(*outcomes, scenarios=(build.released(),))
    return judged(results.model_copy(update={"run": results.run.model_copy(update={"complete": complete})}))


@pytest.mark.parametrize(
    ("complete", "exceeds", "fail_on", "code"),
    [
        (False, 1, FailOn.EXCEEDS, 1),
        (False, 1, FailOn.INCONCLUSIVE, 1),
        (False, 1, FailOn.NEVER, 3),
        (False, 0, FailOn.EXCEEDS, 3),
        (False, 0, FailOn.INCONCLUSIVE, 3),
        (True, 0, FailOn.INCONCLUSIVE, 1),
        (True, 0, FailOn.EXCEEDS, 0),
        (True, 1, FailOn.NEVER, 0),
    ],
)
def test_a_figure_that_exceeds_does_so_in_an_incomplete_run_too(
    complete: bool, exceeds: int, fail_on: FailOn, code: int
) -> None:
    assert exit_code(run(complete=complete, exceeds=exceeds), fail_on) == code


def test_an_accepted_finding_leaves_an_incomplete_run_incomplete() -> None:
    results = run(complete=False, inconclusive=False)
    accepted = frozenset(f.id for f in results.findings if f.status == "exceeds")
    assert exit_code(results, FailOn.EXCEEDS, accepted=accepted) == 3


def test_the_last_lines_name_what_exceeds() -> None:
    def lines(exceeds: int) -> list[str]:
        done = SimpleNamespace(results=run(complete=True, exceeds=exceeds), reused=0, peak_bytes=0, left=())
        return [line for line in _summary(done) if "xceed" in line]  # type: ignore[arg-type]

    assert [line for line in lines(2) if line.startswith("Exceeds: Membership by likelihood ratio")] == lines(2)[-2:]
    many = lines(NAMED + 3)
    assert many[-1].startswith("3 more exceed")
    assert sum(line.startswith("Exceeds: ") for line in many) == NAMED


def claiming(epsilon: float) -> AuditDocument:
    """The tumour sample with another claim."""
    document = load_audit(ROOT / "samples" / "tumour" / "audit.yaml")
    privacy = document.settings.privacy.model_copy(update={"claimed_epsilon": epsilon})
    return replace(document, settings=document.settings.model_copy(update={"privacy": privacy}))


def test_a_claim_that_does_not_follow_is_said_with_its_place() -> None:
    text = claim_doubt(claiming(0.01), records=228)
    assert "privacy.claimed_epsilon is 0.01, which does not follow from the declared settings" in text
    assert "audit.yaml:" in text
    assert claim_doubt(claiming(1e6), records=228) == ""
