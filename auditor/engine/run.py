"""One audit from settings to report."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditor import __version__
from auditor.accounting.evidence import ObservedMechanism
from auditor.config.document import AuditDocument
from auditor.config.settings import ComputeSettings
from auditor.core.results import Results
from auditor.engine.assemble import RunFacts, assemble, settings_digest
from auditor.engine.audits import Games, games_of
from auditor.engine.claimed import claim_doubt
from auditor.engine.environment import described_environment, numeric_environment, resolve_device
from auditor.engine.footprint import keep_fingerprints
from auditor.engine.game import membership_game
from auditor.engine.kept import require_same_audit
from auditor.engine.left import told
from auditor.engine.measure import Measurer
from auditor.engine.memory import peak_bytes, require_memory
from auditor.engine.packing import unpack
from auditor.engine.paths import Paths, measure_paths
from auditor.engine.plan import Plan, make_plan
from auditor.engine.practice import observed_of, silo_sizes
from auditor.engine.probe import measure_speed
from auditor.engine.progress import Progress, Silent
from auditor.engine.session import Clock, Session
from auditor.engine.work import Work, make_work
from auditor.engine.workers import make_executor
from auditor.policy.decisions import Decisions, load_decisions
from auditor.policy.protocol import planned_protocol, require_unchanged
from auditor.report.load import keep_decisions, keep_earlier, read_earlier
from auditor.report.render import render
from auditor.report.signing import refuse_signed
from auditor.store.run_directory import RunDirectory
from auditor.targets.load import load_target
from auditor.targets.target import Target


@dataclass(frozen=True)
class AuditRun:
    """A run that has ended.

    Attributes:
        results: What ``results.json`` holds.
        files: ``results.json`` and the rendered reports.
        done_now, reused: Units of work of this invocation, and of earlier ones.
        left: What is not done and how long it takes, in sentences.
        peak_bytes: The most memory that this process or one of its workers held.
    """

    results: Results
    files: tuple[Path, ...]
    done_now: int
    reused: int
    left: tuple[str, ...] = ()
    peak_bytes: int = 0


@dataclass(frozen=True)
class Prospect:
    """What an audit would do, and what is doubtful about its settings, in sentences."""

    plan: Plan
    doubts: tuple[str, ...] = ()


def plan_audit(document: AuditDocument) -> Prospect:
    """Load the target, time one gradient, and plan; nothing is written.

    Raises:
        AuditorError: where settings, model or data cannot be used.
    """
    target = load_target(document)
    device = resolve_device(document.settings.compute.device)
    require_memory(document.settings, target.model.shape, device=device)
    plan = make_plan(document, target, speed=measure_speed(target, document.settings.federation, device=device))
    doubt = claim_doubt(document, records=len(target.members))
    return Prospect(plan, (doubt,) if doubt else ())


def with_compute(document: AuditDocument, *, executor: str | None, workers: int | None) -> AuditDocument:
    """The document with parts of ``compute`` replaced by what the command line says."""
    given = {name: value for name, value in (("executor", executor), ("workers", workers)) if value is not None}
    settings = document.settings
    compute = ComputeSettings.model_validate({**settings.compute.model_dump(), **given})
    return replace(document, settings=settings.model_copy(update={"compute": compute}))


def default_folder(document: AuditDocument, *, now: datetime | None = None) -> Path:
    """``runs/<time>-<hash8>`` in the current folder."""
    moment = now or datetime.now(UTC)
    return Path("runs") / f"{moment:%Y-%m-%dT%H%MZ}-{settings_digest(document)[:8]}"


def run_audit(
    document: AuditDocument,
    out: Path,
    *,
    progress: Progress | None = None,
    command: str = "",
    render_report: bool = True,
    against: Path | None = None,
    planned: Path | None = None,
) -> AuditRun:
    """Run an audit in ``out``, or go on with the one that is there.

    Units that are finished are read, not done again, so running again after an interruption gives what an
    uninterrupted run gives.

    Raises:
        StoreError: where ``out`` cannot be written; what was finished before is kept.
        AuditorError: where settings, model or data cannot be used, ``out`` holds a run of another protocol, or a
            signed one.
        KeyboardInterrupt: passed on; what was finished is kept.
    """
    refuse_signed(out)
    decisions = _decisions(document)
    with RunDirectory(out).opened() as directory:
        if against is not None:
            keep_earlier(out, against)
        run = _Run(document, directory, progress or Silent(), command, planned=planned)
        results, session = run.results()
        files = [directory.write_results(results)]
        if decisions is not None:
            keep_decisions(out, decisions)
        if render_report:
            files += render(out, document.settings.report.formats)
        left = told(session.left, failed=len(session.failed), minutes=document.settings.budget.minutes)
        return AuditRun(results, tuple(files), session.done_now, session.reused, tuple(left), peak_bytes())


def _decisions(document: AuditDocument) -> Decisions | None:
    """What people decided, as of today; None where the settings name no file.

    Raises:
        AuditorError: where the file cannot be used; before anything is computed.
    """
    name = document.settings.report.decisions
    return load_decisions(document.folder / name, as_of=datetime.now(UTC).date()) if name else None


class _Run:
    """The steps of one run in an open folder."""

    def __init__(
        self,
        document: AuditDocument,
        directory: RunDirectory,
        progress: Progress,
        command: str,
        *,
        planned: Path | None = None,
    ) -> None:
        self._planned = planned
        self._document = document
        self._settings = document.settings
        self._directory = directory
        self._progress = progress
        self._command = command
        self._clock = Clock(self._settings.budget.minutes)
        self._device = resolve_device(self._settings.compute.device)

    def results(self) -> tuple[Results, Session]:
        """Everything from loading to judging."""
        target = load_target(self._document)
        for warning in target.warnings:
            self._progress.say(f"Note: {warning}")
        require_memory(self._settings, target.model.shape, device=self._device)
        speed = measure_speed(target, self._settings.federation, device=self._device)
        plan = make_plan(self._document, target, speed=speed)
        lock = self._locked(target, plan)
        paths = Paths.from_json(lock["paths"])
        self._directory.write_plan(plan.to_json())
        keep_fingerprints(self._directory, target)
        work = make_work(plan, self._document, target, environment=numeric_environment(self._device), paths=paths)
        executor = make_executor(self._document, target, out=self._directory.path, device=self._device)
        try:
            session = Session(self._directory, executor, clock=self._clock, progress=self._progress)
            session.run(plan, work)
        finally:
            executor.close()
        measurer = Measurer(
            plan,
            work,
            session,
            target=target,
            game=membership_game(target, seed=self._settings.audit.seed),
            directory=self._directory,
            seed=self._settings.audit.seed,
        )
        facts = RunFacts(
            id=lock["id"],
            started=lock["started"],
            command=self._command,
            environment={**described_environment(self._device, executor.name), **paths.to_json()},
            cpu_seconds=round(session.cpu_seconds(work), 3),
        )
        outcomes = measurer.outcomes()
        results = assemble(
            self._document,
            target,
            plan,
            outcomes=outcomes,
            utility=measurer.utility(),
            facts=facts,
            silos=silo_sizes(target, self._document.settings.federation, seed=work.train.seed),
            observed=self._observed(work, session),
            games=self._games(plan, work, session),
            before=read_earlier(self._directory.path),
        )
        return results, session

    def _games(self, plan: Plan, work: Work, session: Session) -> list[Games]:
        """What was played of every audit of epsilon."""
        return [
            games_of(planned, work.audits.get(planned.name, ()), session, locate=self._directory.output_path)
            for planned in plan.audits
        ]

    def _observed(self, work: Work, session: Session) -> ObservedMechanism | None:
        """What the training of the audited model measured of the mechanism; None where it failed."""
        if work.train.key not in session.finished:
            return None
        return observed_of(unpack(self._directory.output_path(work.train.key), prefixes=("-",)).meta)

    def _locked(self, target: Target, plan: Plan) -> dict[str, Any]:
        """The lock of the folder: kept from its first run, and refused where the protocol has changed since."""
        if self._planned is not None:
            fixed, remedy = planned_protocol(self._planned), "save a new plan: auditor plan AUDIT --save FILE."
            require_unchanged(fixed, plan.protocol, where=str(self._planned), remedy=remedy)
        lock = self._directory.read_lock()
        if lock is not None:
            path = self._directory.path / "audit.lock.yaml"
            require_same_audit(lock, self._document, target, path=path)
            remedy = "start a new run in a new folder with --out."
            require_unchanged(lock["protocol"], plan.protocol, where=str(path), remedy=remedy)
        started = lock["started"] if lock else datetime.now(UTC).isoformat(timespec="seconds")
        digest8 = settings_digest(self._document)[:8]
        value = {
            "id": lock["id"] if lock else f"{started.replace(':', '')[:15]}Z-{digest8}",
            "started": started,
            "tool_version": __version__,
            "settings_sha256": settings_digest(self._document),
            "protocol_sha256": plan.protocol_sha256,
            "protocol": dict(plan.protocol),
            "model_sha256": target.model_sha256,
            "weights_sha256": target.weights_sha256,
            "splits": {split.name: split.sha256 for split in target.splits},
            "environment": numeric_environment(self._device),
            "paths": self._paths(lock, target, plan).to_json(),
            "settings": self._settings.model_dump(mode="json"),
        }
        self._directory.write_lock(value)
        return value

    def _paths(self, lock: dict[str, Any] | None, target: Target, plan: Plan) -> Paths:
        """What an earlier run in this folder measured on the same kind of machine, or a measurement of now."""
        if lock is not None and lock["environment"] == numeric_environment(self._device):
            return Paths.from_json(lock["paths"])
        self._progress.say("Measuring which way of computing is the fastest for this model.")
        return measure_paths(target, self._settings, device=self._device, references=plan.reference_models)
