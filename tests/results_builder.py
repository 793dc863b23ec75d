"""Results of a run that never happened, for tests of policy, controls and report."""

from typing import Any

from auditor.core.findings import Threshold
from auditor.core.measurement import Interval, Measurement, Outcome, OutcomeStatus
from auditor.core.privacy import AccountingReport, Agreement, AttackCaps, CapPoint, EpsilonEstimate
from auditor.core.results import Organisation, Results, RunInfo, ScenarioSummary, SplitSummary, TargetSummary
from auditor.core.shape import Modality, ModelState, TargetShape, Task

SHA = "a" * 64


def measurement(
    value: float | None = 0.03,
    low: float | None = 0.02,
    high: float | None = 0.04,
    *,
    metric: str = "tpr_at_fpr",
    at: dict[str, float] | None = None,
    **other: Any,
) -> Measurement:
    """A measurement; ``at`` defaults to a false-positive rate of 1 % for TPR."""
    if at is None:
        at = {"fpr": 0.01} if metric == "tpr_at_fpr" else {}
    interval = None if low is None or high is None else Interval(low=low, high=high, method="Clopper-Pearson")
    fields = {"unit": "fraction", "n": 1000, "n_of": "members", "method": "exact"} | other
    return Measurement(metric=metric, at=at, value=value, interval=interval, **fields)


def outcome(*measurements: Measurement, **other: Any) -> Outcome:
    """A measured membership attack on the trained model, unless said otherwise."""
    fields = {
        "scenario": "released-model",
        "attack": "membership/lira",
        "state": ModelState.TRAINED,
        "status": OutcomeStatus.MEASURED,
        "title": "Membership by likelihood ratio",
        "attack_class": "membership",
        "effort": {"cpu_seconds": 10.0},
    } | other
    return Outcome(measurements=measurements, **fields)


def inversion(*measurements: Measurement, **other: Any) -> Outcome:
    """A measured attack on updates."""
    fields = {
        "scenario": "honest-server",
        "attack": "inversion/gradient-matching",
        "title": "Gradient matching",
        "attack_class": "reconstruction",
        "observations": 8,
    } | other
    return outcome(*measurements, **fields)


def recovered(value: float, low: float, high: float, **other: Any) -> Measurement:
    """A share of recovered records."""
    fields = {"metric": "recovered_share", "n": 64, "n_of": "records", "floor": 0.01, "floor_is": "decoys"} | other
    return measurement(value, low, high, **fields)


def released(*thresholds: Threshold, **other: Any) -> ScenarioSummary:
    """The scenario ``released-model``."""
    limits = thresholds or (Threshold(metric="tpr_at_fpr[fpr=0.01]", limit=0.05, reason="five times chance"),)
    fields = {
        "name": "released-model",
        "title": "Somebody outside",
        "actor": "outsider",
        "description": "Queries the model.",
        "behaviour": "passive",
        "grants": ("model_queries", "population_data", "training_recipe"),
        "knowledge": 2,
    } | other
    return ScenarioSummary(thresholds=limits, **fields)


def server(*thresholds: Threshold, **other: Any) -> ScenarioSummary:
    """The scenario ``honest-server``."""
    limits = thresholds or (Threshold(metric="recovered_share", limit=0.10, reason="one in ten"),)
    fields = {
        "name": "honest-server",
        "title": "The operator",
        "actor": "server",
        "description": "Looks at updates.",
        "behaviour": "passive",
        "grants": ("client_update", "training_recipe"),
        "knowledge": 1,
    } | other
    return ScenarioSummary(thresholds=limits, **fields)


def epsilon(lower: float = 0.49, estimate: float = 0.5, upper: float = 0.51, **other: Any) -> EpsilonEstimate:
    """A recomputed epsilon on which the accountants agree."""
    fields = {
        "delta": 1e-5,
        "unit": "record",
        "adjacency": "add_or_remove",
        "sampler": "poisson",
        "agreement": Agreement.AGREED,
    } | other
    return EpsilonEstimate(lower=lower, estimate=estimate, upper=upper, **fields)


def caps(*points: tuple[float, float]) -> AttackCaps:
    """Caps on TPR at the given FPRs."""
    return AttackCaps(roc=tuple(CapPoint(fpr=fpr, tpr=tpr) for fpr, tpr in points), advantage=0.2)


NO_PRIVACY = AccountingReport(
    epsilon=epsilon(float("inf"), float("inf"), float("inf"), delta=1e-5), reason="no mechanism is declared"
)

SETTINGS: dict[str, Any] = {
    "audit": {"name": "ward-risk", "purpose": "Readmission risk"},
    "target": {"weights": None, "data": {"members": {"split": "train"}, "nonmembers": None}},
    "federation": {
        "algorithm": "fedavg",
        "clients": 10,
        "rounds": 20,
        "local": {"batch_size": 16},
        "aggregation": {"secure": {"enabled": False}},
    },
    "privacy": {"mechanism": "none"},
    "budget": {"minutes": 30.0},
}
DP_SETTINGS = SETTINGS | {"privacy": {"mechanism": "dp_sgd", "noise_multiplier": 0.8, "override": None}}


def results(*outcomes: Outcome, **other: Any) -> Results:
    """A run with these outcomes; anything else can be replaced by name."""
    shape = TargetShape(
        modality=Modality.IMAGE,
        task=Task.CLASSIFICATION,
        classes=10,
        input_shape=(1, 8, 8),
        parameters=5000,
        traits=frozenset(),
        members=1000,
        nonmembers=1000,
        population=500,
        records_per_client=100,
        records_per_update=16,
        local_steps=1,
        aggregated_clients=10,
    )
    fields: dict[str, Any] = {
        "name": "ward-risk",
        "run": RunInfo(
            id="2026-11-20T0900Z-7f3a91c2",
            tool_version="0.1.0",
            started="2026-11-20T09:00:00Z",
            finished="2026-11-20T09:10:00Z",
            complete=True,
            command="auditor run audit.yaml",
            seed=7,
            settings_sha256=SHA,
            protocol_sha256=SHA,
            environment={"python": "3.11"},
        ),
        "organisation": Organisation(data_category="special_category", release_context="partners"),
        "settings": SETTINGS,
        "positions": {"federation.rounds": "audit.yaml:20:3"},
        "target": TargetSummary(
            model="target.py:build",
            model_sha256=SHA,
            weights_sha256=None,
            layers={"fc.weight": 640},
            shape=shape,
            splits=(SplitSummary(name="members", records=1000, sha256=SHA, drawn_by="audit seed"),),
        ),
        "scenarios": (released(), server()),
        "accounting": NO_PRIVACY,
        "findings": (),
        "claims": (),
        "coverage": (),
        "risks": (),
        "controls": (),
    }
    return Results(outcomes=outcomes, **(fields | other))
