"""Evidence that only a second run can give: what changed, and what a changed measure did to the figures."""

from auditor.core.findings import Claim, ClaimKind
from auditor.core.results import Results
from auditor.policy.compare import Comparison, Direction, FindingChange, compare
from auditor.policy.words import count, listed

PREFIX = "compared:"


def with_comparison(results: Results, before: Results) -> Results:
    """A judged run with the claims that only its comparison with an earlier run supports."""
    claims = comparison_claims(compare(before, results))
    return results.model_copy(update={"claims": (*results.claims, *claims)})


def is_compared(results: Results) -> bool:
    """Whether the run was compared with an earlier one when it was made."""
    return any(claim.id.startswith(PREFIX) for claim in results.claims)


def comparison_claims(comparison: Comparison) -> tuple[Claim, ...]:
    """Evidence that only a second run can give: the comparison, the triggers, and the effect of a changed measure."""
    triggers = f"Changed since run {comparison.before}: {listed(comparison.triggers) or 'nothing'}."
    said = f"Compared with run {comparison.before}: {_summary(comparison)}"
    claims = [
        _claim(
            "audit_diff", said, True if comparison.comparable else None, [comparison.before, comparison.before_sha256]
        ),
        _claim("change_trigger_log", triggers, True, [comparison.before]),
    ]
    return (*claims, *_mitigation(comparison))


def _summary(comparison: Comparison) -> str:
    if not comparison.comparable:
        return f"not comparable, because {listed(comparison.reasons)}."
    lower, higher = (_counted(comparison, d) for d in (Direction.LOWER, Direction.HIGHER))
    return f"{count(lower, 'figure')} clearly lower, {higher:,} clearly higher."


def _counted(comparison: Comparison, direction: Direction) -> int:
    return sum(change.direction == direction for change in comparison.findings if not _about_accounting(change))


def _about_accounting(change: FindingChange) -> bool:
    return change.id.startswith("accounting:")


def _mitigation(comparison: Comparison) -> list[Claim]:
    """The effect of changed settings of federation or privacy on the same model and data, and of nothing else."""
    measures = [change for change in comparison.settings if change.path.startswith(("federation.", "privacy."))]
    others = [trigger for trigger in comparison.triggers if not trigger.startswith(("settings of", "the weights"))]
    if not (comparison.comparable and measures) or others:
        return []
    lower, higher = (_counted(comparison, d) for d in (Direction.LOWER, Direction.HIGHER))
    changed = listed([f"{m.path} ({m.before or 'not set'} to {m.after or 'not set'})" for m in measures])
    said = f"After changing {changed}, {_summary(comparison)}"
    return [_claim("mitigation_delta", said, True if lower and not higher else None, [comparison.before])]


def _claim(kind: str, said: str, supports: bool | None, evidence: list[str]) -> Claim:
    return Claim(
        id=f"{PREFIX}{kind}",
        kind=ClaimKind.MEASUREMENT,
        sentence=said,
        evidence_kind=kind,
        supports=supports,
        evidence=tuple(evidence),
    )
