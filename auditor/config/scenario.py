"""An adversary as a file: what is granted, how it behaves, which attacks, which thresholds and why."""

from typing import Literal

from auditor.config.settings import Settings
from auditor.core.findings import Threshold
from auditor.core.grants import Grant


class Scenario(Settings):
    """One adversary.

    Attributes:
        name: File stem, e.g. ``honest-server``.
        title, description: Plain words; printed.
        actor: Who it is: ``server``, ``client``, ``outsider``, ``colluders``.
        behaviour: ``passive`` follows the protocol; ``active`` deviates from it.
        grants: What it gets.
        attacks: Names of attacks that belong to it by default.
        thresholds: Limits fixed before the run, by measurement key.
        access, knowledge: Effort points 0-3 that this adversary must spend (0 = by design of its role).
    """

    name: str
    title: str
    description: str
    actor: Literal["server", "client", "outsider", "colluders"]
    behaviour: Literal["passive", "active"] = "passive"
    grants: frozenset[Grant]
    attacks: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    access: int = 0
    knowledge: int = 0
