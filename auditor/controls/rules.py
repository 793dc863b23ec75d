"""One rule for each thing a provision can ask: what the evidence of a run says about it.

``achieve``: a result beyond its limit contradicts, results within support. ``assess``: having measured supports,
whatever came out, for the provision asks for the assessment. ``record``: records are material. ``triage``: people
decide whether something happened; only success of attacks beyond a limit is a matter for them. ``conduct``: what
people do; evidence is material and never settles it. ``consult``: whether a risk of the run is high enough to ask.

Records of the tool's own and declared words alone support nothing that people must do: without a test behind it, a
provision stays outside the reach of the audit, and the evidence is named as material.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditor.controls.catalogue import Asks, Entry, Where
from auditor.controls.declared import STATED_EPSILON
from auditor.controls.evidence import CONTROL_OF, FAMILIES, WORDS, Evidence, Family
from auditor.core.findings import ControlStatus
from auditor.policy.words import listed, sentence

_SAID = frozenset({"claim_vs_evidence_check"})
"""Tests of words: they can refute a statement, and show nothing about what people do."""

_TO_CHECK = "A declared figure does not follow from the declared settings: check it before the statement is used."

_PRESUPPOSED = {
    Where.SPECIAL_CATEGORY: "Applies only where data of a special category are processed; declared here: {category}.",
    Where.GENERAL_PURPOSE: (
        "Applies only to providers of general-purpose AI models, which nobody declared here; this run was not held "
        "against it."
    ),
}


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
        category: The declared category of the data.
        high: Feared events whose likelihood and severity are both at least 3.
        unjudged: Limits that this run could not judge, for some attack that they concern.
    """

    entry: Entry
    evidence: Mapping[str, Evidence]
    dropped: frozenset[str]
    until: str
    category: str = ""
    high: tuple[str, ...] = ()
    unjudged: int = 0

    @property
    def unmet(self) -> Where | None:
        """What the entry presupposes and nobody declared."""
        where = self.entry.only_where
        return None if where == Where.SPECIAL_CATEGORY and self.category == "special_category" else where

    @property
    def leaks(self) -> tuple[Evidence, ...]:
        """Attacks whose success went beyond a limit, of whatever kind."""
        return tuple(e for e in self.evidence.values() if e.supports is False and e.kind in CONTROL_OF)

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
    if case.unmet:
        return _unmet(case, case.unmet)
    if not case.entry.evidence_kinds:
        return Verdict(ControlStatus.OUTSIDE_REACH, _outside(case.entry))
    if case.entry.asks == Asks.CONSULT and case.high:
        return _consulted(case)
    if not case.wanted:
        return _people(case)
    if case.untested and not (case.entry.asks == Asks.TRIAGE and case.leaks):
        return Verdict(ControlStatus.NOT_TESTED, f"Not tested in this run: {_named(case.missing or case.wanted)}.")
    match case.entry.asks:
        case Asks.TRIAGE:
            return _triage(case)
        case Asks.ASSESS | Asks.RECORD:
            return _assessed(case)
        case Asks.CONDUCT | Asks.CONSULT:
            return _conduct(case)
    return _achieved(case)


def _achieved(case: Case) -> Verdict:
    if case.against:
        reason = " ".join(text for evidence in case.against for text in evidence.sentences)
        if _arithmetic(case.against):
            return Verdict(ControlStatus.INCONCLUSIVE, f"{_TO_CHECK} {reason}", _ids(case.against))
        return Verdict(ControlStatus.CONTRADICTS, reason, _ids(case.against))
    weak = [kind for kind in case.required if kind in case.evidence and case.evidence[kind].supports is None]
    return _open(case, weak) or _supports(case, "")


def _arithmetic(against: Sequence[Evidence]) -> bool:
    """Is all that speaks against a figure that does not follow from the settings? That may be a slip, on either side.

    Whether a person was misled by it, as GDPR Art. 5(1)(a) asks, no computation shows.
    """
    denied = {claim for evidence in against for claim, answer in evidence.answers.items() if answer is False}
    return denied == {STATED_EPSILON}


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
    """People find out whether something happened; success of attacks beyond a limit is a reason to ask.

    A misstated epsilon or a setting at odds with another is no breach of security of personal data (GDPR
    Art. 4(12)), and so no reason.
    """
    reason = "What an audit finds is not an incident by itself. "
    if not case.leaks:
        reason += (
            f"No success of attacks went beyond a limit in this run{_unjudged(case.unjudged)}; that does not show that "
            "nothing happened, for an audit does not watch the system in use."
        )
        return Verdict(ControlStatus.INCONCLUSIVE, reason, _ids(case.there))
    reason += (
        f"This run went beyond a limit: {_named([evidence.kind for evidence in case.leaks])}. Where the model is "
        "already in use, or trains on data of real people, that calls for an assessment by people: did an incident "
        "occur, and must somebody be told? This run cannot say."
    )
    shown = dict.fromkeys((*_ids(case.there), *_ids(case.leaks)))
    return Verdict(ControlStatus.INCONCLUSIVE, reason, tuple(shown))


def _unjudged(limits: int) -> str:
    if not limits:
        return ""
    return f", but for {limits:,} {'limit' if limits == 1 else 'limits'} it could not be judged"


def _conduct(case: Case) -> Verdict:
    """A duty of people: what went beyond a limit is for them to weigh; anything else is material."""
    if not case.against:
        return _material(case)
    beyond = _named([evidence.kind for evidence in case.against])
    reason = f"For people to weigh, and settled by no attack: {beyond} went beyond a limit in this run."
    return Verdict(ControlStatus.INCONCLUSIVE, reason, _ids(case.against))


def _consulted(case: Case) -> Verdict:
    """GDPR Art. 36(1) turns on the risk that remains after measures; this run knows the risk as audited."""
    reason = (
        f"In this run likelihood and severity are both at least significant: {listed(case.high)}. Whether a high risk "
        "remains after measures, and so whether to consult, is for people to decide."
    )
    return Verdict(ControlStatus.INCONCLUSIVE, reason, _ids(case.there))


def _unmet(case: Case, where: Where) -> Verdict:
    status = ControlStatus.OUTSIDE_REACH if where == Where.GENERAL_PURPOSE else ControlStatus.NOT_TESTED
    return Verdict(status, _PRESUPPOSED[where].format(category=case.category.replace("_", " ") or "nothing"))


def _material(case: Case) -> Verdict:
    """What the tool recorded, or people said, for a duty that it cannot speak to."""
    basis = _named([evidence.kind for evidence in case.there])
    return Verdict(ControlStatus.OUTSIDE_REACH, f"{MATERIAL}{basis}.", _ids(case.there))


LEFT_TO_PEOPLE = "Outside the reach of this audit, left to people: "
MATERIAL = "For people to show; material for it from this run: "
"""How the reason of a duty of people begins to which only records speak."""


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
    if not any(FAMILIES.get(kind) == Family.TEST and kind not in _SAID for kind in case.required):
        return _material(case)
    basis = _named([evidence.kind for evidence in case.there])
    reason = f"Supports, for the attacks run, on this sample, until {case.until}. It rests on: {basis}. {more}".strip()
    return Verdict(ControlStatus.SUPPORTS, reason, _ids(case.there))


def _outside(entry: Entry) -> str:
    return f"{LEFT_TO_PEOPLE}{'; '.join(entry.outside_reach)}."


def _named(kinds: Sequence[str]) -> str:
    return listed([WORDS.get(kind, kind) for kind in kinds])


def _ids(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    return tuple(claim for item in evidence for claim in item.answers)


def _of_people(kind: str) -> bool:
    return FAMILIES.get(kind) == Family.PEOPLE
