"""What the misdeclaration rules look at, as plain data: settings, the model, the simulation, and answers of people.

Every field that is None is unknown, and a rule that needs it is not counted as checked.
"""

from dataclasses import dataclass
from typing import Literal

from auditor.accounting.spec import PrivacySpec
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.privacy import EpsilonEstimate


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
    """

    federation: FederationSettings
    privacy: PrivacySettings
    spec: PrivacySpec | None = None
    epsilon: EpsilonEstimate | None = None
    records: int | None = None
    model: ModelTraits | None = None
    observed: ObservedMechanism | None = None
