"""One rule for each thing a provision can ask: what the evidence of a run says about it.

``achieve``: a result beyond its limit contradicts, results within support. ``assess``: having measured supports,
whatever came out, for the provision asks for the assessment. ``record``: records support. ``triage``: people decide
whether something happened; evidence never settles it, and any exceeded limit is a matter for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditor.controls.catalogue import Asks, Entry
from auditor.controls.evidence import CONTROL_OF, FAMILIES, WORDS, Evidence, Family
from auditor.core.findings import ControlStatus
from auditor.policy.words import listed, sentence

_LEAKS = frozenset(CONTROL_OF) | {"dp_config_consistency", "dp_empirical_lower_bound", "claim_vs_evidence_check"}
"""Kinds whose evidence names what went beyond a limit."""


@dataclass(frozen=True)
class Verdict:
    """A status with its reason in plain words, and the claims behind it."""

    status: ControlStatus
    reason: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One entry against the evidence of one run.

    Attributes:
        entry: The provision.
        evidence: All evidence of the run by kind.
        dropped: Kinds that cannot apply to this target.
        until: The day until which the evidence counts, in words.
        exceeded: A finding of the run exceeds its limit, of whatever kind.
    """

    entry: Entry
    evidence: Mapping[str, Evidence]
    dropped: frozenset[str]
    until: str
    exceeded: bool = False

    @property
    def wanted(self) -> tuple[str, ...]:
        """The kinds that speak to the entry, without what cannot apply and what only people can give."""
        return tuple(k for k in self.entry.evidence_kinds if k not in self.dropped and not _of_people(k))

    @property
    def required(self) -> tuple[str, ...]:
        """The kinds without which the evidence does not support."""
        named = self.entry.evidence_kinds if self.entry.requires is None else self.entry.requires
        return tuple(kind for kind in named if kind in self.wanted)

    @property
    def there(self) -> tuple[Evidence, ...]:
        return tuple(self.evidence[kind] for kind in self.wanted if kind in self.evidence)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(kind for kind in self.required if kind not in self.evidence)

    @property
    def against(self) -> tuple[Evidence, ...]:
        """Evidence that contradicts; a failed negative control makes evidence unusable instead."""
        return tuple(e for e in self.there if e.supports is False and FAMILIES.get(e.kind) != Family.CONTROL)

    @property
    def untested(self) -> bool:
        """Nothing that the entry turns on was done: the tests it needs are all missing."""
        if self.entry.asks == Asks.RECORD:
            return not self.there
        decisive = [kind for kind in self.required if FAMILIES.get(kind) != Family.RECORD]
        return not self.there or (bool(decisive) and not any(kind in self.evidence for kind in decisive))

    def unusable(self) -> str:
        """Why measured success or failure of attacks may not be counted as support; empty where it may."""
        classes = dict.fromkeys(CONTROL_OF[kind] for kind in self.required if kind in CONTROL_OF)
        controls = self.evidence.get("negative_controls")
        clean = controls.answers if controls else {}
        for attack_class in classes:
            answer = clean.get(f"measured:controls:{attack_class}")
            if answer is None:
                return f"no negative control for {attack_class.replace('_', ' ')} (a try where nothing can be found)"
            if not answer:
                return f"the negative control for {attack_class.replace('_', ' ')} was not clean"
        return ""


def decide(case: Case) -> Verdict:
    """The verdict for one entry, by what it asks."""
    if not case.entry.evidence_kinds:
        return Verdict(ControlStatus.OUTSIDE_REACH, _outside(case.entry))
    if not case.wanted:
        return _people(case)
    if case.untested and not (case.entry.asks == Asks.TRIAGE and case.exceeded):
        return Verdict(ControlStatus.NOT_TESTED, f"Not tested in this run: {_named(case.missing or case.wanted)}.")
    match case.entry.asks:
        case Asks.TRIAGE:
            return _triage(case)
        case Asks.ASSESS | Asks.RECORD:
            return _assessed(case)
    return _achieved(case)


def _achieved(case: Case) -> Verdict:
    if case.against:
        reason = " ".join(text for evidence in case.against for text in evidence.sentences)
        return Verdict(ControlStatus.CONTRADICTS, reason, _ids(case.against))
    weak = [kind for kind in case.required if kind in case.evidence and case.evidence[kind].supports is None]
    return _open(case, weak) or _supports(case, "")


def _assessed(case: Case) -> Verdict:
    """Both answers of a test count as an assessment; an answer that was left open does not."""
    weak = [
        kind
        for kind in case.required
        if kind in case.evidence and case.evidence[kind].supports is None and FAMILIES.get(kind) == Family.TEST
    ]
    beyond = (
        f"It asks for the assessment; what that found lies beyond a limit: {_named([e.kind for e in case.against])}."
    )
    return _open(case, weak) or _supports(case, beyond if case.against else "")


def _open(case: Case, weak: Sequence[str]) -> Verdict | None:
    """The verdict where something is still open; None where nothing is."""
    parts = []
    if weak:
        parts.append(f"left open: {_named(weak)}")
    if case.missing:
        parts.append(f"not done: {_named(case.missing)}")
    unusable = case.unusable()
    if unusable:
        parts.append(unusable)
    if not parts:
        return None
    why = [text for kind in weak if kind not in CONTROL_OF for text in case.evidence[kind].sentences]
    return Verdict(ControlStatus.INCONCLUSIVE, " ".join([sentence("; ".join(parts)), *why]), _ids(case.there))


def _triage(case: Case) -> Verdict:
    """People find out whether something happened; an exceeded limit of any kind is a reason to ask."""
    reason = "What an audit finds is not an incident by itself. "
    if not case.exceeded:
        reason += (
            "No finding of this run exceeds a limit; that does not show that nothing happened, for an audit does not "
            "watch the system in use."
        )
        return Verdict(ControlStatus.INCONCLUSIVE, reason, _ids(case.there))
    beyond = [e for e in case.evidence.values() if e.supports is False and e.kind in _LEAKS]
    named = f": {_named([evidence.kind for evidence in beyond])}" if beyond else ""
    reason += (
        f"This run went beyond a limit{named}. Where the model is already in use, or trains on data of real people, "
        "that calls for an assessment by people: did an incident occur, and must somebody be told? This run cannot say."
    )
    shown = dict.fromkeys((*_ids(case.there), *_ids(beyond)))
    return Verdict(ControlStatus.INCONCLUSIVE, reason, tuple(shown))


def _people(case: Case) -> Verdict:
    """Entries to which only declarations speak."""
    given = tuple(case.evidence[kind] for kind in case.entry.evidence_kinds if kind in case.evidence)
    if given:
        said = " ".join(text for evidence in given for text in evidence.sentences)
        return Verdict(ControlStatus.HUMAN_DECLARED, f"{said} A declaration is not evidence.", _ids(given))
    if any(_of_people(kind) for kind in case.entry.evidence_kinds):
        return Verdict(ControlStatus.NOT_TESTED, "Waits for a person: nobody has declared or signed anything yet.")
    return Verdict(ControlStatus.NOT_TESTED, f"Does not apply to this target: {_named(case.entry.evidence_kinds)}.")


def _supports(case: Case, more: str) -> Verdict:
    basis = _named([evidence.kind for evidence in case.there])
    reason = f"Supports, for the attacks run, on this sample, until {case.until}. It rests on: {basis}. {more}".strip()
    return Verdict(ControlStatus.SUPPORTS, reason, _ids(case.there))


def _outside(entry: Entry) -> str:
    return f"Outside the reach of this audit, left to people: {'; '.join(entry.outside_reach)}."


def _named(kinds: Sequence[str]) -> str:
    return listed([WORDS.get(kind, kind) for kind in kinds])


def _ids(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    return tuple(claim for item in evidence for claim in item.answers)


def _of_people(kind: str) -> bool:
    return FAMILIES.get(kind) == Family.PEOPLE
