"""What accounting says: epsilon with its error, what it caps, and what was declared wrongly."""

from enum import StrEnum

from auditor.core.base import Frozen


class Agreement(StrEnum):
    """How the engines ended."""

    AGREED = "agreed"
    REFINED = "refined"
    DISPUTED = "disputed"
    SINGLE = "single"
    BOUND_ONLY = "bound_only"


class EngineValue(Frozen):
    """What one accountant answered, or why it did not."""

    engine: str
    version: str
    lower: float | None = None
    estimate: float | None = None
    upper: float | None = None
    seconds: float = 0.0
    note: str = ""


class EpsilonEstimate(Frozen):
    """Epsilon with its bracket.

    ``lower <= true epsilon of the stated mechanism <= upper``. ``upper`` is what may be quoted.

    Attributes:
        unit: ``record`` or ``client``.
        adjacency: ``add_or_remove``, ``replace_one`` or ``zero_out``.
        sampler: What the estimate assumes about participation.
        exactness: ``exact`` (bracket is numerical error) or ``bound`` (upper is a bound of unknown slack).
        mu_gdp: The smallest mu whose Gaussian trade-off curve lies below this mechanism's, or None.
    """

    lower: float
    estimate: float
    upper: float
    delta: float
    unit: str
    adjacency: str
    sampler: str
    exactness: str = "exact"
    mu_gdp: float | None = None
    agreement: Agreement
    engines: tuple[EngineValue, ...] = ()
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


class RoundEpsilon(Frozen):
    """Epsilon after a number of federated rounds."""

    round: int
    lower: float
    upper: float


class CapPoint(Frozen):
    """No attack on the released outputs reaches more than ``tpr`` at ``fpr`` (membership)."""

    fpr: float
    tpr: float


class AttackCaps(Frozen):
    """What the privacy guarantee caps, whatever the attack.

    Attributes:
        roc: Cap on TPR over FPR, increasing FPR, including every FPR in the thresholds.
        advantage: Cap on TPR - FPR.
        posterior: Prior -> cap on the posterior probability of membership.
        reconstruction: Blind-guess probability kappa -> cap on reconstruction success.
    """

    roc: tuple[CapPoint, ...]
    advantage: float
    posterior: dict[str, float] = {}
    reconstruction: dict[str, float] = {}


class LintSeverity(StrEnum):
    """How much a misdeclaration matters."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Lint(Frozen):
    """One misdeclaration rule that fired."""

    id: str
    severity: LintSeverity
    title: str
    found: str
    remedy: str
    source: str
    setting: str = ""


class EpsilonLowerBound(Frozen):
    """What canaries say about epsilon from below.

    Attributes:
        epsilon: At ``delta``; 0 where nothing was shown.
        ceiling: The largest epsilon that so many canaries could have shown, all guesses right.
        proven: True where docs/proofs/epsilon-audits.md holds its proof; any other value is heuristic and drives no
            verdict.
    """

    method: str
    epsilon: float
    delta: float
    level: float
    ceiling: float
    proven: bool
    assumptions: tuple[str, ...] = ()


STATEMENTS = 3
"""Proven statements on epsilon that a run makes at most; they share its error."""


class EpsilonAudit(Frozen):
    """One game with canaries beside the accounted epsilon.

    Attributes:
        name: ``mechanism`` (as simulated), ``code`` (the user's own step), ``labels`` (the model itself) or ``clients``
            (the model itself, with canary clients; an estimate and no bound).
        title: In plain words.
        status: As of an outcome: ``measured``, ``not_applicable``, ``not_run`` or ``failed``.
        reason: Why, unless it was measured.
        canaries, guesses, correct: Size and success; guesses were fixed beforehand.
        bounds: The ones that count first.
        estimate: Of epsilon, without an error bar: heuristic.
        estimate_method: Source and assumption, where it is not that of two Gaussians fitted to the scores.
        p_value: Chance of ``curve_correct`` right ones among the ``curve_guesses`` surest guesses if the declared
            mechanism had run; None where its curve is unknown.
        level: Confidence of all proven statements of the run together: a lower bound and the declared curve of the
            mechanism, and a lower bound of the training as a whole; each has a third of the error.
        accounted: The largest epsilon that the declared settings allow in this game.
        cpu_seconds: Of all games.
    """

    name: str
    title: str
    status: str
    reason: str = ""
    canaries: int = 0
    guesses: int = 0
    correct: int = 0
    bounds: tuple[EpsilonLowerBound, ...] = ()
    estimate: float | None = None
    estimate_method: str = ""
    p_value: float | None = None
    curve_guesses: int = 0
    curve_correct: int = 0
    level: float = 0.95
    accounted: float | None = None
    cpu_seconds: float = 0.0

    @property
    def refuted(self) -> bool:
        """Did a proven statement show that the declared mechanism is not the one that ran?"""
        proven = [bound for bound in self.bounds if bound.proven]
        above = self.accounted is not None and any(bound.epsilon > self.accounted for bound in proven)
        return above or (self.p_value is not None and self.p_value < (1 - self.level) / STATEMENTS)


class AccountingReport(Frozen):
    """Everything the report says about the privacy guarantee.

    ``epsilon`` is None exactly where ``reason`` says why there is none (no mechanism declared,
    mechanism without a known bound). No mechanism means epsilon = infinity, stated as such by an
    ``EpsilonEstimate`` with infinite values. ``silos`` are the numbers of records that the clients of the audited data
    hold, in ascending order; under record-level DP-SGD the client with the largest epsilon counts.
    """

    epsilon: EpsilonEstimate | None
    reason: str = ""
    claimed_epsilon: float | None = None
    alternatives: tuple[EpsilonEstimate, ...] = ()
    by_round: tuple[RoundEpsilon, ...] = ()
    caps: AttackCaps | None = None
    lints: tuple[Lint, ...] = ()
    lints_checked: tuple[str, ...] = ()
    spec: dict[str, str | int | float | bool | None] = {}
    silos: tuple[int, ...] = ()
    audits: tuple[EpsilonAudit, ...] = ()
