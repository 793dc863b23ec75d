"""What has to be known before an epsilon means anything."""

import math
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from auditor.core.base import Frozen
from auditor.core.errors import AuditorError


class Unit(StrEnum):
    """Whose data is protected."""

    RECORD = "record"
    CLIENT = "client"


class Adjacency(StrEnum):
    """Which two data sets must look alike."""

    ADD_OR_REMOVE = "add_or_remove"
    REPLACE_ONE = "replace_one"
    ZERO_OUT = "zero_out"


class Sampler(StrEnum):
    """What the code really does to choose units."""

    POISSON = "poisson"
    SHUFFLED = "shuffled"
    FIXED_SIZE = "fixed_size"
    FULL = "full"


class Noise(StrEnum):
    """The noise mechanism."""

    GAUSSIAN = "gaussian"
    DISCRETE_GAUSSIAN = "discrete_gaussian"
    SKELLAM = "skellam"
    TREE = "tree"
    MATRIX = "matrix"


class Trust(StrEnum):
    """Who adds the noise: the server, each client to its own update, or all clients together."""

    CENTRAL = "central"
    LOCAL = "local"
    DISTRIBUTED = "distributed"


class Phase(Frozen):
    """Rounds or steps with the same parameters.

    Attributes:
        noise_multiplier: Noise standard deviation on the sum over the clip.
        rate: Probability that a unit takes part, or cohort over population.
        steps: How many.
        clip: Bound on a unit's contribution; noise is relative to it, so it matters for discrete noise only.
    """

    noise_multiplier: Annotated[float, Field(ge=0.0)]
    rate: Annotated[float, Field(gt=0.0, le=1.0)]
    steps: Annotated[int, Field(ge=1)]
    clip: Annotated[float, Field(gt=0.0)] = 1.0


class Participation(Frozen):
    """How often one unit can take part (for mechanisms without amplification by sampling).

    Attributes:
        most: Most rounds one unit takes part in; None for all.
        separation: Fewest rounds from one participation to the next.
    """

    most: Annotated[int, Field(ge=1)] | None = None
    separation: Annotated[int, Field(ge=1)] = 1


class PrivacySpec(Frozen):
    """Everything an epsilon depends on. Unit, adjacency and sampler have no default.

    Attributes:
        unit: Whose data is protected.
        records_per_unit: Records of one protected person, for record-level mechanisms.
        sensitivity: Change of one unit's contribution over the clip, for adjacency add or remove.
        population: Units in the deployment.
        honest_fraction: Share of the noise that honest, connected clients really add.
        seen_rate: Chance that a unit's client takes part in a round where participation is public: it does not
            amplify, it only makes fewer rounds count.
        steps_per_round: Steps that one participation consists of, for ``seen_rate``.
        count_noise: Noise on the count of clipped units, for adaptive clipping.
        strategy: Rows of the strategy matrix, for matrix factorisation.
        dimension: Coordinates of an update, for discrete noise.
        scale: Grid units per clip, for discrete noise.
        noisers: Clients that add a share of discrete noise.
        tuning_runs: Trainings on the same data from which the best is kept.
        counts_as: The change of the sum to account for, where it is not that of ``adjacency``: a changed record
            replaces its client's whole update.
        releases: What leaves the mechanism; printed.
    """

    unit: Unit
    adjacency: Adjacency
    sampler: Sampler
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    delta: Annotated[float, Field(gt=0.0, lt=1.0)]
    noise: Noise = Noise.GAUSSIAN
    trust: Trust = Trust.CENTRAL
    records_per_unit: Annotated[int, Field(ge=1)] = 1
    sensitivity: Annotated[float, Field(gt=0.0)] = 1.0
    population: Annotated[int, Field(ge=1)] | None = None
    honest_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    seen_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    steps_per_round: Annotated[int, Field(ge=1)] = 1
    participation: Participation = Participation()
    count_noise: Annotated[float, Field(ge=0.0)] | None = None
    strategy: tuple[tuple[float, ...], ...] = ()
    dimension: Annotated[int, Field(ge=1)] | None = None
    scale: Annotated[float, Field(gt=0.0)] = 1.0
    noisers: Annotated[int, Field(ge=1)] = 1
    tuning_runs: Annotated[int, Field(ge=1)] = 1
    counts_as: Adjacency | None = None
    releases: tuple[str, ...] = ("final model",)

    @model_validator(mode="after")
    def _complete(self) -> "PrivacySpec":
        if self.noise is Noise.MATRIX and not self.strategy:
            raise ValueError("matrix factorisation needs the strategy matrix")
        if self.noise in (Noise.DISCRETE_GAUSSIAN, Noise.SKELLAM) and self.dimension is None:
            raise ValueError("discrete noise needs the dimension of an update")
        return self

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    @property
    def noiseless(self) -> bool:
        """True where some step adds no noise at all."""
        return any(phase.noise_multiplier == 0 for phase in self.phases) or self.count_noise == 0

    @property
    def change(self) -> Adjacency:
        """How the sum changes between neighbouring data sets."""
        return self.counts_as or self.adjacency

    @property
    def contribution(self) -> float:
        """Largest change of the sum, over the clip: doubled where one contribution replaces another."""
        doubled = 2.0 if self.change is Adjacency.REPLACE_ONE else 1.0
        return self.sensitivity * doubled * self.records_per_unit

    def passes(self, phase: Phase) -> int:
        """Times a unit takes part in ``phase`` when every pass uses each unit once; a begun pass counts."""
        return max(1, math.ceil(phase.steps * phase.rate * (1 - 1e-12)))


class Refused(AuditorError):
    """No epsilon can be given, and why."""


def stated(value: str | None, what: Literal["protects", "adjacency", "sampling"]) -> str:
    """``value``, or a refusal: these three are never guessed.

    Raises:
        Refused: It is not stated.
    """
    if value is None:
        raise Refused(
            f"privacy.{what} is not stated, and epsilon means nothing without it.",
            remedy=f"State privacy.{what} as the code really does it.",
        )
    return value
