"""Statements that people declare, set against what is law and what was measured (GDPR Art. 5(1)(a))."""

import re

from auditor.controls.catalogue import NotLaw, not_law
from auditor.core.findings import Claim, ClaimKind, FindingStatus
from auditor.core.results import Results

_DECLARED = ("audit.name", "audit.purpose", "audit.organisation.controller", "privacy.override.reason")
STATED_EPSILON = "declared:statement:privacy.claimed_epsilon"
"""The claim on a stated epsilon that the recomputed one does not bear out."""

_STRONG_WORDS = re.compile(
    r"(?<!not )(?<!no )\b(anonym\w*|de-?identified|no personal data|cannot be re-?identified|fully private)\b",
    re.IGNORECASE,
)


def declared_claims(results: Results) -> tuple[Claim, ...]:
    """One claim for each declared text that names something which is not law, or promises what was not shown.

    Where nothing was found, one claim says so; where nothing was declared, there is none.
    """
    texts = {path: text for path in _DECLARED if (text := _text(results, path))}
    if not texts:
        return ()
    everything = texts | _scenario_texts(results)
    found = [claim for path, text in everything.items() for claim in _checked(results, path, text)]
    found += _epsilon(results)
    if found:
        return tuple(found)
    return (_claim("none", "No declared statement is at odds with the law packs or results.", True, texts),)


def _epsilon(results: Results) -> list[Claim]:
    """The stated epsilon, where the recomputed one does not bear it out."""
    finding = next((f for f in results.findings if f.id == "accounting:claimed_epsilon"), None)
    if finding is None or finding.status == FindingStatus.WITHIN:
        return []
    supports = False if finding.status == FindingStatus.EXCEEDS else None
    return [_claim("privacy.claimed_epsilon", finding.sentence, supports, (finding.id,))]


def contradicted(text: str) -> tuple[NotLaw, ...]:
    """The claims in ``text`` that circulate and are not law."""
    return tuple(
        entry for entry in not_law() if any(re.search(pattern, text, re.IGNORECASE) for pattern in entry.patterns)
    )


def _checked(results: Results, path: str, text: str) -> list[Claim]:
    claims = []
    for entry in contradicted(text):
        said = (
            f"{path} says or implies: {entry.claim}. Status: {entry.status}. "
            f"Nearest real provision: {entry.nearest_provision}."
        )
        claims.append(_claim(f"{path}:{entry.id}", said, False, {path: text}))
    strong = _STRONG_WORDS.search(text)
    if strong:
        claims.append(_strong(results, path, strong[0]))
    return claims


def _strong(results: Results, path: str, word: str) -> Claim:
    """A promise such as 'anonymous': contradicted by any finding above its limit, left open otherwise."""
    exceeded = tuple(finding.id for finding in results.findings if finding.status == "exceeds")
    if exceeded:
        said = f"{path} says '{word}', but {len(exceeded)} of the findings of this run are above their limits."
        return _claim(f"{path}:strong", said, False, exceeded)
    said = (
        f"{path} says '{word}'. No attack of this run contradicts it, and none can show it: that is a legal conclusion."
    )
    return _claim(f"{path}:strong", said, None, {path: word})


def _claim(name: str, said: str, supports: bool | None, evidence: dict[str, str] | tuple[str, ...]) -> Claim:
    return Claim(
        id=f"declared:statement:{name}",
        kind=ClaimKind.DECLARATION,
        sentence=said,
        evidence_kind="claim_vs_evidence_check",
        supports=supports,
        evidence=tuple(evidence),
    )


def _scenario_texts(results: Results) -> dict[str, str]:
    """What the authors of scenarios wrote: descriptions, and the reasons of limits."""
    return {f"scenario {scenario.name}": scenario.description for scenario in results.scenarios} | {
        f"scenario {scenario.name}, limit on {threshold.metric}": threshold.reason
        for scenario in results.scenarios
        for threshold in scenario.thresholds
    }


def _text(results: Results, path: str) -> str:
    value: object = results.settings
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value.strip() if isinstance(value, str) else ""
