"""Do the accountants agree? Disagreement is reported, and the larger bound is the one that is quoted."""

from collections.abc import Sequence
from typing import NamedTuple

from auditor.accounting.bracket import Bracket
from auditor.core.privacy import Agreement, EngineValue

_VALID_DELTA = {"PRV": 1e-11, "PLD": 1e-9, "RDP": 0.0}


class Verdict(NamedTuple):
    """How the engines ended.

    Attributes:
        agreement: The status.
        upper: What may be quoted.
        warnings: Each contradiction, and why it counts or does not.
    """

    agreement: Agreement
    upper: float
    warnings: tuple[str, ...]


def crosscheck(own: Bracket, engines: Sequence[EngineValue], delta: float) -> Verdict:
    """Compare this project's bracket with the libraries' answers.

    An engine contradicts the bracket when its proved lower bound lies above the bracket or its upper bound below
    it. Outside the range in which a library is known to be sound its contradiction is only noted. Inside, it is a
    dispute, unless a second library contradicts the first; then the first is outvoted and this is said.
    """
    slack = max(1e-5, 2e-5 * own.upper)
    notes, disputes, checks = [], [], 0
    for engine in engines:
        if engine.upper is None:
            continue
        found = _contradiction(own, engine, slack)
        if not found:
            checks += 1
        elif delta < _VALID_DELTA[engine.engine[:3]]:
            notes.append(f"{engine.engine} {found}; at delta {delta:g} it is outside its valid range, not counted.")
        elif _outvoted(engine, engines, own, slack):
            notes.append(f"{engine.engine} {found}; another accountant contradicts it too, so it is outvoted.")
        else:
            disputes.append(engine)
            notes.append(f"{engine.engine} {found}.")
    upper = max([own.upper, *(engine.upper for engine in disputes if engine.upper is not None)])
    if disputes:
        return Verdict(Agreement.DISPUTED, upper, tuple(notes))
    if checks == 0:
        return Verdict(Agreement.SINGLE, own.upper, tuple(notes))
    return Verdict(Agreement.REFINED if notes else Agreement.AGREED, own.upper, tuple(notes))


def _contradiction(own: Bracket, engine: EngineValue, slack: float) -> str:
    if engine.upper is not None and engine.upper < own.lower - slack:
        return f"gives the upper bound {engine.upper:.6g}, below the proved lower bound {own.lower:.6g}"
    if engine.lower is not None and engine.lower > own.upper + slack:
        return f"gives the lower bound {engine.lower:.6g}, above the proved upper bound {own.upper:.6g}"
    return ""


def _outvoted(engine: EngineValue, engines: Sequence[EngineValue], own: Bracket, slack: float) -> bool:
    """A second library sides with the bracket and excludes this one's answer."""
    for other in engines:
        if other is engine or other.upper is None or _contradiction(own, other, slack):
            continue
        if engine.lower is not None and engine.lower > own.upper + slack and other.upper < engine.lower:
            return True
        if engine.upper is not None and other.lower is not None and engine.upper < other.lower - slack:
            return True
    return False
