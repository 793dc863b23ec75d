"""Puts the results of a run together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from auditor import __version__
from auditor.accounting.evidence import ObservedMechanism
from auditor.accounting.report import accounting_report
from auditor.config.document import AuditDocument
from auditor.controls.status import mapped
from auditor.core.canonical import digest
from auditor.core.measurement import Outcome, OutcomeStatus
from auditor.core.privacy import EpsilonAudit
from auditor.core.results import Organisation, Results, RunInfo, ScenarioSummary
from auditor.engine.audits import Games, judged_audits
from auditor.engine.limits import limits_of
from auditor.engine.plan import Plan
from auditor.engine.practice import traits_of
from auditor.engine.sweeps import curves
from auditor.policy.judge import judged
from auditor.policy.re_audit import with_comparison
from auditor.targets.target import Target


@dataclass(frozen=True)
class RunFacts:
    """When and how a run was made.

    Attributes:
        id: Time of the first start and eight digits of the settings' digest.
        started: ISO 8601, UTC.
        cpu_seconds: Of all units, over all resumptions.
    """

    id: str
    started: str
    command: str
    environment: dict[str, str]
    cpu_seconds: float


def settings_digest(document: AuditDocument) -> str:
    """SHA-256 of the settings with defaults filled in."""
    return digest(document.settings.model_dump(mode="json"))


def is_complete(outcomes: Sequence[Outcome], audits: Sequence[EpsilonAudit] = ()) -> bool:
    """False where running again would add something: an attack or audit failed, or the budget ended first."""
    if any(audit.status == OutcomeStatus.FAILED or audit.reason.startswith("budget:") for audit in audits):
        return False
    return not any(
        outcome.status == OutcomeStatus.FAILED
        or (outcome.status == OutcomeStatus.NOT_RUN and any(why.startswith("budget:") for why in outcome.reasons))
        or any(note.startswith("The time budget") for note in outcome.notes)
        for outcome in outcomes
    )


def assemble(
    document: AuditDocument,
    target: Target,
    plan: Plan,
    *,
    outcomes: tuple[Outcome, ...],
    utility: dict[str, float],
    facts: RunFacts,
    silos: Sequence[int] = (),
    observed: ObservedMechanism | None = None,
    games: Sequence[Games] = (),
    before: Results | None = None,
) -> Results:
    """All of a run: measured, accounted, judged, and mapped to controls."""
    settings = document.settings
    finished = datetime.now(UTC)
    done = outcomes
    outcomes, sweeps = curves(document, plan.variants, done)
    account = accounting_report(
        settings,
        positions=document.positions,
        records=len(target.members),
        silos=silos,
        model=traits_of(target.model, batch_norm=settings.federation.batch_norm),
        observed=observed,
        people=settings.audit.organisation.subjects,
    )
    audits = judged_audits(games, settings, account=account)
    results = Results(
        name=settings.audit.name,
        run=_run_info(document, plan, done, audits, facts=facts, finished=finished),
        organisation=_organisation(document),
        settings=settings.model_dump(mode="json"),
        positions=document.positions,
        target=target.summary(utility),
        scenarios=_scenarios(plan),
        outcomes=outcomes,
        accounting=account.model_copy(update={"audits": audits}),
        findings=(),
        claims=(),
        coverage=(),
        risks=(),
        controls=(),
        limits=limits_of(document, target, plan, outcomes),
        arrays=tuple({array.sha256: array for outcome in outcomes for array in outcome.arrays}.values()),
        sweeps=sweeps,
    )
    made = mapped(judged(results), settings.report.controls, today=finished.date())
    if before is None:
        return made
    return mapped(with_comparison(made, before), settings.report.controls, today=finished.date())


def _run_info(
    document: AuditDocument,
    plan: Plan,
    outcomes: tuple[Outcome, ...],
    audits: tuple[EpsilonAudit, ...],
    *,
    facts: RunFacts,
    finished: datetime,
) -> RunInfo:
    return RunInfo(
        id=facts.id,
        tool_version=__version__,
        started=facts.started,
        finished=finished.isoformat(timespec="seconds"),
        complete=is_complete(outcomes, audits),
        command=facts.command,
        seed=document.settings.audit.seed,
        settings_sha256=settings_digest(document),
        protocol_sha256=plan.protocol_sha256,
        adversaries_sha256=plan.adversaries_sha256,
        environment=facts.environment,
        cpu_seconds=facts.cpu_seconds,
    )


def _organisation(document: AuditDocument) -> Organisation:
    audit = document.settings.audit
    return Organisation(**audit.organisation.model_dump(), release_context=audit.release_context, purpose=audit.purpose)


def _scenarios(plan: Plan) -> tuple[ScenarioSummary, ...]:
    summaries = []
    for scenario in plan.scenarios:
        grants = plan.grants[scenario.name]
        summaries.append(
            ScenarioSummary(
                name=scenario.name,
                title=scenario.title,
                actor=scenario.actor,
                description=scenario.description,
                behaviour=scenario.behaviour,
                grants=tuple(grant.value for grant in sorted(grants.granted)),
                withheld=tuple(f"{grant.value}: {why}" for grant, why in sorted(grants.withheld.items())),
                thresholds=scenario.thresholds,
                access=scenario.access,
                knowledge=scenario.knowledge,
                control=scenario.control,
            )
        )
    return tuple(summaries)
