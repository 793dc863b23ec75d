"""Units of work: what is computed once, named by everything its result follows from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from auditor import __version__
from auditor.core.canonical import digest
from auditor.core.seeds import derive_seed


class UnitKind(StrEnum):
    """What a unit computes.

    ``train``: the audited model. ``reference``: one model that the adversary trains itself.
    ``observe``: what is released to an adversary. ``attack``: one attack on one observation. ``audit``: one game of
    an audit of epsilon.
    """

    TRAIN = "train"
    REFERENCE = "reference"
    OBSERVE = "observe"
    ATTACK = "attack"
    AUDIT = "audit"


REVISIONS = {UnitKind.TRAIN: 1, UnitKind.REFERENCE: 1, UnitKind.OBSERVE: 1, UnitKind.ATTACK: 1, UnitKind.AUDIT: 1}
"""Raise a number when the engine computes something else for the same details."""


AUDITED = "audited model"
"""Name of the unit that trains it."""


def unit_seed(seed: int, kind: UnitKind, name: str, *names: str | int) -> int:
    """The seed of a unit, from the seed of the run and what names the unit."""
    return derive_seed(seed, kind.value, name, *names)


@dataclass(frozen=True)
class Unit:
    """One unit of work.

    Attributes:
        kind: See :class:`UnitKind`.
        name: For people: ``membership/lira``, ``reference model``.
        details: Every setting that the result follows from, as JSON.
        seed: Of all its randomness.
        inputs: Units it reads, by role. A role may name several, e.g. ``references``.
        key: SHA-256 of all of the above and of the numeric environment.
    """

    kind: UnitKind
    name: str
    details: Mapping[str, Any]
    seed: int
    inputs: Mapping[str, tuple[str, ...]]
    key: str


def make_unit(
    kind: UnitKind,
    name: str,
    *,
    target: str,
    details: Mapping[str, Any],
    seed: int,
    environment: Mapping[str, str],
    inputs: Mapping[str, Sequence[str]] | None = None,
) -> Unit:
    """A unit with its content key.

    Args:
        target: Digest of the audited model, weights and data.
        environment: Numeric environment; a result of another one is never reused.
    """
    reads = {role: tuple(keys) for role, keys in (inputs or {}).items()}
    identity = {
        "tool": __version__,
        "kind": kind.value,
        "revision": REVISIONS[kind],
        "name": name,
        "target": target,
        "details": dict(details),
        "seed": str(seed),
        "inputs": {role: list(keys) for role, keys in reads.items()},
        "environment": dict(environment),
    }
    return Unit(kind, name, dict(details), seed, reads, digest(identity))


@dataclass(frozen=True)
class Task:
    """A unit handed to an executor.

    Attributes:
        seconds_left: What remains of the budget; an attack returns what it has when it is used up.
    """

    unit: Unit
    seconds_left: float | None = None


@dataclass(frozen=True)
class Made:
    """The output of a unit, and whether the budget ended it early."""

    output: bytes
    cut: bool = False


class Maker(Protocol):
    """Does units; :class:`auditor.engine.workshop.Workshop` is the real one.

    Attributes:
        device: torch device.
    """

    device: str

    def make(self, task: Task) -> Made:
        """Do one unit.

        Raises:
            AuditorError: with one sentence that says why it cannot be done.
        """
        ...


@dataclass(frozen=True)
class UnitResult:
    """How a unit ended: with an output, or with the reason why it has none.

    Attributes:
        output: safetensors bytes; empty where it failed.
        cut: The budget ended it early.
        reason: One sentence where it failed.
        traceback: Of an unexpected error, without local variables; never shown in the report.
    """

    key: str
    output: bytes = b""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    cut: bool = False
    reason: str = ""
    traceback: str = field(default="", repr=False)

    @property
    def failed(self) -> bool:
        return not self.output
