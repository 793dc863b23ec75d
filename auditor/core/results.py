"""``results.json``: everything a report, an export or a verification reads."""

import json
from typing import Any

from auditor.core.base import Frozen
from auditor.core.canonical import digest
from auditor.core.findings import Claim, ControlRow, CoverageRow, Finding, RiskCell, Threshold
from auditor.core.measurement import ArrayRef, Outcome
from auditor.core.privacy import AccountingReport
from auditor.core.shape import TargetShape

SCHEMA = "auditor.results/1"


class RunInfo(Frozen):
    """When, with what and how the run was made."""

    id: str
    tool_version: str
    started: str
    finished: str
    complete: bool
    command: str
    seed: int
    settings_sha256: str
    protocol_sha256: str
    environment: dict[str, str]
    cpu_seconds: float = 0.0
    adversaries_sha256: str = ""
    """Of the protocol without what was declared; empty in older runs, whose protocol held nothing else."""

    @property
    def compared_by(self) -> str:
        """The digest that two runs must share to be compared."""
        return self.adversaries_sha256 or self.protocol_sha256


class SplitSummary(Frozen):
    """A split of the data: how many records, and a hash that names them without showing them."""

    name: str
    records: int
    sha256: str
    drawn_by: str


class TargetSummary(Frozen):
    """What was audited."""

    model: str
    model_sha256: str
    weights_sha256: str | None
    layers: dict[str, int]
    shape: TargetShape
    splits: tuple[SplitSummary, ...]
    facts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    utility: dict[str, float] = {}


class ScenarioSummary(Frozen):
    """An adversary in plain words."""

    name: str
    title: str
    actor: str
    description: str
    behaviour: str
    grants: tuple[str, ...]
    withheld: tuple[str, ...] = ()
    thresholds: tuple[Threshold, ...]
    access: int = 0
    knowledge: int = 0
    control: bool = False


class Organisation(Frozen):
    """What people declared; never inferred."""

    controller: str | None = None
    data_category: str
    subjects: int | None = None
    membership_is_sensitive: bool | None = None
    vulnerable_people: bool | None = None
    release_context: str
    purpose: str = ""


class SweepPoint(Frozen):
    """Attacks on rounds that were played with one value of a setting."""

    value: float
    outcomes: tuple[Outcome, ...]


class Sweep(Frozen):
    """What if a setting were different. Never part of a verdict: these outcomes are in no other list.

    Attributes:
        scenario, title: The adversary, by name and in plain words.
        declared: The value of the audit itself, one of the points; None where it has none.
        mechanism: The mechanism that was played instead of the audit's; empty where it was the audit's own.
        thresholds: The adversary's limits.
        points: In rising order of the value.
    """

    setting: str
    scenario: str
    title: str
    declared: float | None = None
    mechanism: str = ""
    thresholds: tuple[Threshold, ...]
    points: tuple[SweepPoint, ...]


class Results(Frozen):
    """One audit run."""

    schema_: str = SCHEMA
    name: str
    run: RunInfo
    organisation: Organisation
    settings: dict[str, Any]
    positions: dict[str, str]
    target: TargetSummary
    scenarios: tuple[ScenarioSummary, ...]
    outcomes: tuple[Outcome, ...]
    accounting: AccountingReport
    findings: tuple[Finding, ...]
    claims: tuple[Claim, ...]
    coverage: tuple[CoverageRow, ...]
    risks: tuple[RiskCell, ...]
    controls: tuple[ControlRow, ...]
    catalogues: tuple[dict[str, str], ...] = ()
    limits: tuple[str, ...] = ()
    arrays: tuple[ArrayRef, ...] = ()
    sweeps: tuple[Sweep, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The JSON value of this run, with ``schema`` first."""
        value = json.loads(self.model_dump_json(exclude={"schema_"}))
        return {"schema": self.schema_, **value}

    @property
    def sha256(self) -> str:
        """Digest of the canonical JSON: what a signature covers."""
        return digest(self.to_json())

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Results":
        """Read a results value of this version.

        Raises:
            ValueError: for another schema, or a value that does not fit it.
        """
        found = value.get("schema")
        if found != SCHEMA:
            raise ValueError(f"this is {found!r}; this version reads {SCHEMA!r}")
        return cls.model_validate({k: v for k, v in value.items() if k != "schema"})
