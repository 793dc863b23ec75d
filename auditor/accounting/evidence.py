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
class Practice:
    """What people say about the code and the process around it.

    Attributes:
        clipping_per: What is clipped: each protected unit, a microbatch of several, or a whole batch.
        divisor: What a noisy sum is divided by: a constant, the actual batch, or the private number of units.
        accounted_adjacency: The adjacency that the claimed figure was computed under.
        tuned_on_private: Settings, early stopping or architecture were chosen on the same private data.
        private_preprocessing: Steps that touch private data without noise (vocabulary, normalisation, selection).
        secure_random: Noise comes from a cryptographic generator that cannot be seeded.
        seeds_shared: Clients reuse one seed.
        releases: What is published besides the model after each round.
        accountant: How the claimed figure was computed.
        claims_anonymous: Documents call the result anonymous.
        other_models: Other models or releases trained on the same people.
    """

    clipping_per: Literal["unit", "microbatch", "batch"] | None = None
    divisor: Literal["constant", "actual_batch", "private_count"] | None = None
    accounted_adjacency: Literal["add_or_remove", "replace_one", "zero_out"] | None = None
    tuned_on_private: bool | None = None
    private_preprocessing: tuple[str, ...] | None = None
    secure_random: bool | None = None
    seeds_shared: bool | None = None
    releases: tuple[str, ...] | None = None
    accountant: Literal["rdp", "pld", "prv", "opacus_prv", "prv_estimate", "gdp_clt", "closed_form"] | None = None
    claims_anonymous: bool | None = None
    other_models: int | None = None


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
    practice: Practice = Practice()
