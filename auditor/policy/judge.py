"""Measurements to findings, claims, coverage and risks. Pure: the same results give the same judgement."""

from auditor.core.findings import Finding, Threshold
from auditor.core.results import Results
from auditor.policy.advice import Adviser
from auditor.policy.canaries import audit_findings, beside_account, refutations
from auditor.policy.claims import claims
from auditor.policy.coverage import coverage
from auditor.policy.disagreement import disagreements
from auditor.policy.epsilon import accounting_findings, sample_of
from auditor.policy.negative import family
from auditor.policy.outcomes import outcome_findings, unanswered
from auditor.policy.risk import risks
from auditor.policy.roles import powerless
from auditor.policy.summed import summed
from auditor.policy.sweeps import curves

_MANY = "Among many comparisons, a verdict that is wrong by chance becomes more likely; none was corrected for."


def judged(results: Results) -> Results:
    """The same run with findings, claims, coverage and risks filled in, and a word on how many limits there were."""
    findings = _findings(results)
    rated = results.model_copy(update={"findings": findings, "risks": risks(results, findings)})
    return rated.model_copy(
        update={
            "claims": claims(rated, findings),
            "coverage": coverage(rated),
            "limits": _limits(rated, findings),
        }
    )


def _limits(results: Results, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """Limits of the run, with one on comparing many figures at once; nothing was corrected for that."""
    kept = tuple(limit for limit in results.limits if not limit.endswith(_MANY))
    compared = [f for f in findings if f.limit is not None and f.low is not None and f.outcome != "accounting"]
    if len(compared) < 2:
        return kept
    return (*kept, f"{len(compared)} figures were compared with limits, each by an interval of its own. {_MANY}")


def _findings(results: Results) -> tuple[Finding, ...]:
    shape = results.target.shape
    held = shape.members + shape.nonmembers + shape.population
    adviser = Adviser(results.settings, results.positions, curves(results), summed(results), records=held)
    weak = powerless(results.outcomes)
    limits = {scenario.name: scenario.thresholds for scenario in results.scenarios if not scenario.control}
    found: list[Finding] = []
    families = {name: family(results, name) for name in {outcome.attack_class for outcome in results.outcomes}}
    for outcome in results.outcomes:
        found += outcome_findings(
            outcome,
            limits.get(outcome.scenario, ()),
            adviser,
            weak=outcome.attack in weak,
            among=families[outcome.attack_class],
        )
    for scenario, thresholds in limits.items():
        found += _unanswered(scenario, thresholds, found)
    return (
        *found,
        *disagreements(results),
        *beside_account(accounting_findings(results.accounting, sample_of(results)), refutations(results)),
        *audit_findings(results),
    )


def _unanswered(scenario: str, thresholds: tuple[Threshold, ...], found: list[Finding]) -> tuple[Finding, ...]:
    mine = [finding for finding in found if finding.outcome.startswith(f"{scenario}:")]
    return unanswered(scenario, thresholds, mine)
