"""A number that was measured, with all that is needed to believe it."""

from auditor.core.base import Frozen
from auditor.core.shape import ModelState

ONE_UPDATE = "records of one update"
"""What an interval is over where a single update of several records was attacked: nothing is known about others."""


class Interval(Frozen):
    """A confidence interval.

    Attributes:
        low, high: Its ends, in the unit of the value.
        level: The probability with which such intervals cover the truth.
        method: How it was made, e.g. ``Clopper-Pearson``.
        over: What was random, e.g. ``records`` or ``records and models``.
    """

    low: float
    high: float
    level: float = 0.95
    method: str
    over: str = "records"


class Measurement(Frozen):
    """One metric of one attack.

    Attributes:
        metric: Identifier, e.g. ``tpr_at_fpr``, ``auc``, ``recovered_share``, ``psnr``.
        at: The operating point in words a program can read, e.g. ``{"fpr": 0.01}``.
        value: The measured value; ``None`` where it may not be claimed (see ``refused``).
        unit: ``fraction``, ``dB``, ``nats``, ``count`` or ``1``.
        interval: Missing only where the value is refused.
        n: How many independent trials stand behind the value.
        n_of: What was counted, e.g. ``non-members`` or ``reconstructed records``.
        floor: The same metric without any attack (blind guess, nearest population record).
        floor_is: How the floor was made.
        higher_is_worse: True where a larger value means more leakage.
        protects: Unit of protection the number speaks of: ``record`` or ``client``.
        method: Estimator and source.
        refused: Why no value may be claimed, and how many more samples would allow it.
    """

    metric: str
    at: dict[str, float] = {}
    value: float | None
    unit: str
    interval: Interval | None = None
    n: int
    n_of: str
    floor: float | None = None
    floor_is: str = ""
    higher_is_worse: bool = True
    protects: str = "record"
    method: str
    refused: str = ""

    @property
    def key(self) -> str:
        """Metric and operating point as one string, e.g. ``tpr_at_fpr[fpr=0.01]``."""
        if not self.at:
            return self.metric
        return f"{self.metric}[{','.join(f'{k}={v:g}' for k, v in sorted(self.at.items()))}]"


class ArrayRef(Frozen):
    """An array beside ``results.json``, named by the hash of its bytes. Holds no personal data."""

    name: str
    file: str
    sha256: str
    shape: tuple[int, ...]


class OutcomeStatus:
    """The four ends of a planned attack."""

    MEASURED = "measured"
    NOT_APPLICABLE = "not_applicable"
    FAILED = "failed"
    NOT_RUN = "not_run"


class Outcome(Frozen):
    """How one planned attack ended. Every planned attack has exactly one.

    Attributes:
        scenario, attack, state: Which attack this is.
        status: One of :class:`OutcomeStatus`.
        reasons: Why, unless it was measured.
        measurements: All metrics of the attack.
        arrays: Curves for the figures, e.g. ``roc`` with rows (fpr, tpr, tpr_low, tpr_high).
        observations: How many observations (updates, models) were attacked.
        parameters: The attack's parameters as used.
        title, paper: The technique in plain words, and its source.
        attack_class: EDPB class (Opinion 28/2024, par. 55), e.g. ``membership`` or ``reconstruction``.
        effort: What the attack really used: ``cpu_seconds``, ``iterations``, ``queries``, ``reference_models``.
        notes: Sentences of the attack about its own run (e.g. what it chose, without any data).
        control: ``positive`` where the setting was made as easy as it gets to see whether the attack works at
            all, ``negative`` where nothing can be found; empty for the audited setting itself.
        cut_short: The time budget ended every run of the attack before its planned work was done.
        doubt: Why a low figure of this attack shows little, as a clause; empty where nothing is known against it.
        experimental: No published evaluation stands behind the attack: what it finds counts, and where it finds
            nothing, that counts for nothing.
    """

    scenario: str
    attack: str
    state: ModelState | None = None
    status: str
    reasons: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    arrays: tuple[ArrayRef, ...] = ()
    observations: int = 0
    parameters: dict[str, str | int | float | bool | list[str | int | float] | None] = {}
    title: str = ""
    paper: str = ""
    attack_class: str = ""
    effort: dict[str, float] = {}
    notes: tuple[str, ...] = ()
    control: str = ""
    cut_short: bool = False
    doubt: str = ""
    experimental: bool = False

    @property
    def key(self) -> str:
        """``scenario/attack@state``."""
        return f"{self.scenario}:{self.attack}" + (f"@{self.state}" if self.state else "")
