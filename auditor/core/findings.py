"""Judgements: a measurement against a threshold, a claim, a control."""

from enum import StrEnum

from auditor.core.base import Frozen


class FindingStatus(StrEnum):
    """What a finding says."""

    WITHIN = "within"
    EXCEEDS = "exceeds"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"
    FAILED = "failed"
    NOT_RUN = "not_run"


class Threshold(Frozen):
    """A limit that a scenario fixed before the run.

    Attributes:
        metric: Key of the measurement, e.g. ``tpr_at_fpr[fpr=0.01]``.
        limit: In the metric's unit.
        reason: Why this limit; printed.
        beyond_guess: The limit is a part of what a guess without the attack leaves open. Half, where the guess is
            right in 80 of 100 cases, stands for 90 of 100.
    """

    metric: str
    limit: float
    reason: str
    beyond_guess: bool = False

    def against(self, floor: float | None) -> float:
        """The limit for a figure that is ``floor`` without the attack."""
        if not self.beyond_guess or floor is None:
            return self.limit
        guess = min(max(floor, 0.0), 1.0)
        return guess + self.limit * (1.0 - guess)


class Measure(Frozen):
    """One change that may lower what a finding found.

    Attributes:
        action: Plain words, without the name of the setting.
        setting, place: The setting to change, and where the file has it; no place where it is a default.
        now: Its value, written out.
        effect: What a sweep measured of the change; empty where nobody measured it.
        helps: Whether a value was measured that stays within the limit; None where nobody measured it.
    """

    action: str
    setting: str
    now: str
    place: str = ""
    effect: str = ""
    helps: bool | None = None


class Finding(Frozen):
    """One measurement against its threshold, or an attack that gave none.

    Attributes:
        id: Stable, e.g. ``released-model:membership/lira@trained:tpr_at_fpr[fpr=0.01]``.
        sentence: Plain words: what was found, with the figure and its interval.
        advice: What can be done: names the setting to change. Empty where nothing is to be done.
        measures: The same changes one by one, where the finding is about leakage.
    """

    id: str
    outcome: str
    status: FindingStatus
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    unit: str = ""
    sentence: str
    advice: str = ""
    measures: tuple[Measure, ...] = ()


class ClaimKind(StrEnum):
    """What stands behind a claim."""

    BOUND = "bound"
    MEASUREMENT = "measurement"
    DECLARATION = "declaration"


class Claim(Frozen):
    """A sentence that evidence supports or contradicts.

    ``evidence_kind`` is one of the shared vocabulary of the law packs (``mia_tpr_at_fpr`` …);
    ``evidence`` names findings, lints or settings by id.
    """

    id: str
    kind: ClaimKind
    sentence: str
    evidence_kind: str
    supports: bool | None
    evidence: tuple[str, ...] = ()


class ControlStatus(StrEnum):
    """What the evidence of this run says about a control. People decide about conformity."""

    SUPPORTS = "evidence_supports"
    CONTRADICTS = "evidence_contradicts"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTED = "not_tested"
    OUTSIDE_REACH = "outside_reach"
    STALE = "stale"
    HUMAN_DECLARED = "human_declared"


class ControlRow(Frozen):
    """One provision of a law pack with its status."""

    catalogue: str
    id: str
    title: str
    kind: str
    source_ref: str
    paraphrase: str
    status: ControlStatus
    reason: str
    applies_from: tuple[str, ...] = ()
    applicable_now: bool | None = None
    as_of: str
    basis: str
    evidence: tuple[str, ...] = ()
    evidence_kinds: tuple[str, ...] = ()
    outside_reach: tuple[str, ...] = ()
    note: str = ""


class CoverageRow(Frozen):
    """One of the EDPB's five attack classes (Opinion 28/2024, par. 55)."""

    id: str
    title: str
    status: str
    reason: str
    attacks: tuple[str, ...] = ()


class RiskCell(Frozen):
    """Likelihood and severity of one feared event by one actor.

    ``at_least`` is true where something in scope was not tested or inconclusive. ``zone`` says what the cell asks of
    people.
    """

    actor: str
    event: str
    attack_class: str
    success_band: str
    effort: str
    effort_points: int | None = None
    likelihood: int | None
    at_least: bool
    severity: int
    zone: str = ""
    reason: str
    evidence: tuple[str, ...] = ()
