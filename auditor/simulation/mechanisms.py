"""The declared mechanism as the simulation plays it. Reads the settings object that accounting reads; no copies."""

import math
from dataclasses import dataclass

from auditor.config.settings import ClippingSettings, FederationSettings, PrivacySettings
from auditor.simulation.errors import SimulationError
from auditor.simulation.participation import expected_participants

DEFAULT_QUANTILE = 0.5
"""Share of units left unclipped that adaptive clipping aims at (Andrew et al., 2021: the median)."""


@dataclass(frozen=True)
class Mechanism:
    """Where clipping and noise happen, and how much.

    - ``dp_sgd``: each client clips the gradient of each record and adds noise to the sum of a batch, in each step.
    - ``dp_fedavg``: each client clips its update; the server adds noise to their sum, so it sees them without noise.
    - ``local``: each client clips its update and adds the full noise to it before sending.
    - ``distributed``: each client clips its update and adds a share; the sum carries the full noise.
    - ``dp_ftrl``: as ``dp_fedavg``, with noise from a binary tree over the rounds (Kairouz et al., 2021,
      arXiv:2103.00039, without the variance reduction of its appendix).

    The full noise has standard deviation ``noise_multiplier * clipping.norm`` on the sum.

    Attributes:
        privacy: The user's settings, read at each use.
        federation: For the number of clients that share the noise.
    """

    privacy: PrivacySettings
    federation: FederationSettings

    @property
    def kind(self) -> str:
        return self.privacy.mechanism

    @property
    def clipped(self) -> str:
        """``record``, ``client`` or ``none``."""
        if self.kind == "none":
            return "none"
        return "record" if self.kind == "dp_sgd" else "client"

    @property
    def protects(self) -> str | None:
        """The declared unit of protection."""
        return self.privacy.protects

    @property
    def clipping(self) -> ClippingSettings:
        if self.privacy.clipping is None:
            raise SimulationError(
                f"privacy.mechanism is '{self.kind}' without 'clipping'.", remedy="Set privacy.clipping.norm."
            )
        return self.privacy.clipping

    @property
    def norm(self) -> float:
        """Bound on the L2 norm of a unit's contribution (at the start, where it adapts)."""
        return self.clipping.norm

    @property
    def noise_multiplier(self) -> float:
        if self.privacy.noise_multiplier is None:
            raise SimulationError(
                f"privacy.mechanism is '{self.kind}' without 'noise_multiplier'.",
                remedy="Set privacy.noise_multiplier; 0 means clipping alone.",
            )
        return self.privacy.noise_multiplier

    @property
    def applied_multiplier(self) -> float:
        """Noise on the sum in units of the norm; larger under adaptive clipping, whose count costs a part.

        Andrew et al., 2021, arXiv:1905.03871, theorem 1.
        """
        declared = self.noise_multiplier
        if self.clipping.kind != "adaptive" or declared == 0:
            return declared
        rest = declared**-2 - (2 * self.count_noise) ** -2
        if rest <= 0:
            raise SimulationError(
                f"privacy.clipping.count_noise is {self.count_noise:g}, too little for noise_multiplier {declared:g}.",
                remedy=f"Set privacy.clipping.count_noise above {declared / 2:g}.",
            )
        return float(rest**-0.5)

    @property
    def sum_noise_std(self) -> float:
        """Standard deviation of the noise on the sum of clipped contributions; 0 without a mechanism."""
        return 0.0 if self.kind == "none" else self.applied_multiplier * self.norm

    @property
    def quantile(self) -> float:
        """Target of adaptive clipping."""
        return DEFAULT_QUANTILE if self.clipping.quantile is None else self.clipping.quantile

    @property
    def count_noise(self) -> float:
        """Noise on the number of unclipped units.

        By default a twentieth of the units (Andrew et al., section 3), and never below ``noise_multiplier``, so that
        in small cohorts the count costs at most a sixth more noise on the sum.
        """
        if self.clipping.count_noise is not None:
            return self.clipping.count_noise
        units = self.federation.local.batch_size if self.clipped == "record" else self.cohort
        return max(units / 20, self.noise_multiplier)

    @property
    def cohort(self) -> float:
        """Expected clients in a round: the fixed denominator of client-level mechanisms."""
        return expected_participants(self.federation)

    @property
    def share_factor(self) -> float:
        """Of the full noise, what one client adds under ``distributed``.

        So much that the honest ones among the fewest clients a round can end with reach the full noise.
        """
        secure = self.federation.aggregation.secure
        fewest = self.cohort
        if secure.enabled:
            fewest = float(secure.threshold) if secure.threshold else self.cohort * (1.0 - secure.dropout)
        override = self.privacy.override
        honest = 1.0 if override is None or override.honest_fraction is None else override.honest_fraction
        return 1.0 / math.sqrt(max(1.0, honest * fewest))

    @property
    def client_factor(self) -> float:
        """Of the full noise, what one client adds to its update before sending."""
        return {"local": 1.0, "distributed": self.share_factor}.get(self.kind, 0.0)

    @property
    def server_adds_noise(self) -> bool:
        return self.kind in ("dp_fedavg", "dp_ftrl")

    @property
    def equal_weights(self) -> bool:
        """Client-level bounds on a sum hold only if no client counts more than another."""
        return self.kind in ("dp_fedavg", "distributed", "dp_ftrl")


def mechanism_of(federation: FederationSettings, privacy: PrivacySettings) -> Mechanism:
    """The mechanism of these settings.

    Raises:
        SimulationError: where the settings contradict each other or a needed one is missing.
    """
    mechanism = Mechanism(privacy, federation)
    if mechanism.kind == "none":
        return mechanism
    _ = mechanism.sum_noise_std  # names a missing setting now rather than in the middle of a run
    rule = federation.aggregation.rule
    if mechanism.equal_weights and rule != "mean":
        raise SimulationError(
            f"privacy.mechanism '{mechanism.kind}' puts noise on a sum, but federation.aggregation.rule is '{rule}'.",
            remedy="Set the rule to 'mean', or use privacy.mechanism 'local' or 'dp_sgd'.",
        )
    return mechanism
