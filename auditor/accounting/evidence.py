"""What the misdeclaration rules look at, as plain data: settings, the model, the simulation, and answers of people.

Every field that is None is unknown, and a rule that needs it is not counted as checked.
"""

import math
from dataclasses import dataclass
from typing import Literal

from auditor.accounting.spec import PrivacySpec
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.privacy import Agreement, EpsilonEstimate


@dataclass(frozen=True)
class ModelTraits:
    """What a walk over the model found.

    Attributes:
        cross_example_layers: Layers that mix the records of a batch, such as batch normalisation.
        parameters_outside: Trained parameters or released buffers that neither clipping nor noise reaches.
    """

    cross_example_layers: tuple[str, ...] = ()
    parameters_outside: tuple[str, ...] = ()


@dataclass(frozen=True)
class ObservedMechanism:
    """What a simulated round really did.

    Attributes:
        noise_std: Standard deviation of the noise on the sum of clipped contributions.
        noise_samples: Coordinates it was measured on.
        largest_norm: Largest norm of one unit's contribution after clipping.
        sampler: How units were drawn.
        steps: Noisy steps taken.
    """

    noise_std: float | None = None
    noise_samples: int = 0
    largest_norm: float | None = None
    sampler: Literal["poisson", "shuffled", "fixed_size", "full"] | None = None
    steps: int | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything the rules may look at.

    Attributes:
        spec: None where no specification could be made.
        epsilon: None where there is none.
        records: Training records.
        people: People whose data the deployment trains on, where somebody declared it.
    """

    federation: FederationSettings
    privacy: PrivacySettings
    spec: PrivacySpec | None = None
    epsilon: EpsilonEstimate | None = None
    records: int | None = None
    model: ModelTraits | None = None
    observed: ObservedMechanism | None = None
    people: int | None = None

    @property
    def claim_is_judged(self) -> bool:
        """May the claimed epsilon be compared with the recomputed one?

        Not where the accountants disagree; nor where epsilon is that of a sample and more people were declared: with
        more records the same settings give a smaller epsilon. The verdict on the claim keeps to the same.
        """
        epsilon, privacy = self.epsilon, self.privacy
        if epsilon is None or privacy.claimed_epsilon is None or epsilon.agreement is Agreement.DISPUTED:
            return False
        named = privacy.override is not None and privacy.override.records is not None
        sampled = privacy.protects == "record" and not named and (self.people or 0) > (self.records or math.inf)
        return not (sampled and math.isfinite(epsilon.upper) and epsilon.sampler != "full")
