"""What a run does not show, in sentences."""

from collections.abc import Sequence

from auditor.attacks.registry import available
from auditor.config.document import AuditDocument
from auditor.core.measurement import Outcome, OutcomeStatus
from auditor.engine.plan import Plan
from auditor.engine.views import RELEASED
from auditor.targets.target import Target


def limits_of(document: AuditDocument, target: Target, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Sentences on what was not tested; each names the cause."""
    return (
        *_always(),
        *_simulated(document, target),
        *_untested(outcomes),
        *_left_out(plan),
        *_not_followed(target, plan),
        *_sample(target),
        *_trainings(target, plan),
    )


def _always() -> list[str]:
    return [
        "Only the attacks named in this report were tried. A stronger attack, or one not yet known, may find more; "
        "a low figure is no proof that nothing leaks."
    ]


def _simulated(document: AuditDocument, target: Target) -> list[str]:
    audited = (
        "The audited weights are the ones given; the updates were simulated from the declared settings."
        if target.weights is not None
        else "The federation was simulated from the declared settings and the sample data; the deployed model and its "
        "real rounds were not seen."
    )
    limits = [audited]
    if document.settings.federation.aggregation.secure.enabled:
        limits.append("Secure aggregation is taken as declared; its cryptography was not tested.")
    return limits


def _untested(outcomes: Sequence[Outcome]) -> list[str]:
    words = {OutcomeStatus.FAILED: "failed", OutcomeStatus.NOT_RUN: "were not run"}
    return [
        f"{len(keys)} planned attacks {verb}: {', '.join(keys)}."
        if len(keys) > 1
        else f"1 planned attack {verb.replace('were', 'was')}: {keys[0]}."
        for status, verb in words.items()
        if (keys := [outcome.key for outcome in outcomes if outcome.status == status])
    ]


def _left_out(plan: Plan) -> list[str]:
    left = sorted(set(available()) - {planned.attack for planned in plan.attacks if not planned.what_if})
    if not left:
        return []
    return [f"Installed attacks that no chosen scenario includes were not planned: {', '.join(left)}."]


def _not_followed(target: Target, plan: Plan) -> list[str]:
    """Attacks that read all local steps as one gradient; following them costs time and memory with their number."""
    taken = target.model.shape.local_steps
    running = {row.attack for row in plan.attacks if row.runs and not row.control and not row.what_if}
    limits = {name: getattr(plan.parameters.get(name), "unrolled_steps", None) for name in sorted(running)}
    names = [name for name, limit in limits.items() if limit is not None and taken > 1 and taken > limit]
    if not names:
        return []
    return [
        f"{', '.join(names)} read the {taken} local steps of a client as one gradient and did not follow them step by "
        f"step; parameters.{names[0]}.unrolled_steps asks for more than {limits[names[0]]}."
    ]


def _trainings(target: Target, plan: Plan) -> list[str]:
    """What intervals of attacks on the released model are over."""
    if not any(row.runs and row.view in RELEASED for row in plan.attacks):
        return []
    if plan.trainings > 1:
        return [
            f"Verdicts on the released model rest on the first of {plan.trainings} trainings; what all of them give "
            "stands beside it."
        ]
    other = "" if target.weights is not None else " The setting trainings audits more than one."
    return [
        "Intervals of attacks on the released model cover the draw of the records, not another training of the model, "
        f"which may leak more or less.{other}"
    ]


def _sample(target: Target) -> list[str]:
    shape = target.model.shape
    return [
        f"Figures speak of the {shape.members:,} member and {shape.nonmembers:,} non-member records of the sample; "
        "other people may be exposed more or less."
    ]
