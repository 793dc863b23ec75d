"""An adversary as a file: what is granted, how it behaves, which attacks, which thresholds and why."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from auditor.config.settings import FederationSettings, PrivacySettings, Settings
from auditor.core.findings import Threshold
from auditor.core.grants import Grant


class PartSettings(Settings):
    """The part of an update that an adversary with ``partial_update`` sees."""

    layer: str = Field("all", description="A layer's name, 'first', 'last' or 'all'.")
    coordinates: Annotated[float, Field(gt=0.0, le=1.0)] = Field(1.0, description="Share of their coordinates.")
    which: Literal["random", "largest"] = Field("random", description="Which coordinates; their places are seen too.")


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
        control: True for a positive control: it says whether an attack works at all, nothing about the target.
        federation: Blocks of ``federation`` that this scenario replaces; the others stay the user's.
        privacy: Replaces the user's privacy block, where given.
        colluding_share: For ``colluders``: share of the clients that act together.
        part: What ``partial_update`` shows; all of an update where it is not given.
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
    control: bool = False
    federation: dict[str, Any] = {}
    privacy: PrivacySettings | None = None
    colluding_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    part: PartSettings | None = None

    def own_clients(self, clients: int) -> int:
        """How many of the federation's clients the adversary has; colluders always leave one out."""
        if self.actor == "client":
            return 1
        if self.actor != "colluders":
            return 0
        return max(1, min(clients - 1, math.ceil(self.colluding_share * clients)))

    def federation_of(self, own: FederationSettings) -> FederationSettings:
        """The federation that this scenario plays.

        Raises:
            ValueError: where a replaced block does not fit.
        """
        if not self.federation:
            return own
        return FederationSettings.model_validate({**own.model_dump(), **self.federation})

    def privacy_of(self, own: PrivacySettings) -> PrivacySettings:
        """The privacy mechanism that this scenario plays."""
        return self.privacy or own
