"""Complete, realistic results for tests of the report: no attack runs here, the figures are of the usual size."""

import datetime
import hashlib
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auditor.build import build
from auditor.controls.status import mapped
from auditor.core.findings import FindingStatus, Threshold
from auditor.core.measurement import ArrayRef, Interval, Measurement, Outcome, OutcomeStatus
from auditor.core.privacy import (
    AccountingReport,
    Agreement,
    AttackCaps,
    CapPoint,
    EngineValue,
    EpsilonEstimate,
    Lint,
    LintSeverity,
    RoundEpsilon,
)
from auditor.core.results import Organisation, Results, RunInfo, ScenarioSummary, SplitSummary, TargetSummary
from auditor.core.shape import Modality, ModelState, TargetShape, Task
from auditor.policy.judge import judged
from auditor.store.fingerprints import fingerprints


@dataclass(frozen=True)
class Example:
    """Results and the arrays that they name."""

    results: Results
    arrays: dict[str, np.ndarray]

    def write(self, folder: Path) -> Path:
        """Write a run directory as the engine does."""
        (folder / "arrays").mkdir(parents=True, exist_ok=True)
        for ref in self.results.arrays:
            (folder / ref.file).write_bytes(npy(self.arrays[ref.name]))
        text = json.dumps(self.results.to_json(), indent=2, ensure_ascii=False)
        (folder / "results.json").write_text(text, encoding="utf-8")
        (folder / "restricted").mkdir(exist_ok=True)
        known = fingerprints({"table": np.random.default_rng(5).normal(size=(9, 8))}, salt=bytes(range(16)))
        (folder / "restricted" / "fingerprints.json").write_text(json.dumps(known))
        return folder


def npy(array: np.ndarray) -> bytes:
    """The bytes of ``array`` as a ``.npy`` file."""
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def sha(text: str) -> str:
    """A plausible digest."""
    return hashlib.sha256(text.encode()).hexdigest()


def roc_curve(power: float, *, members: int = 250, nonmembers: int = 2500) -> np.ndarray:
    """Rows (fpr, tpr, tpr_low, tpr_high) of a binormal attack of separation ``power``."""
    from scipy.stats import beta, norm

    fpr = np.unique(np.concatenate([np.logspace(np.log10(1 / nonmembers), 0, 90), [0.01, 0.001, 0.1]]))
    tpr = norm.cdf(norm.ppf(np.clip(fpr, 1e-9, 1 - 1e-9)) + power)
    hits = np.round(tpr * members)
    low = np.where(hits > 0, beta.ppf(0.025, hits, members - hits + 1), 0.0)
    high = np.where(hits < members, beta.ppf(0.975, hits + 1, members - hits), 1.0)
    return np.column_stack([fpr, hits / members, low, high])


def reference(name: str, array: np.ndarray) -> ArrayRef:
    """How ``array`` is named in the results."""
    digest = hashlib.sha256(npy(array)).hexdigest()
    return ArrayRef(name=name, file=f"arrays/{digest}.npy", sha256=digest, shape=array.shape)


def rate(metric: str, value: float, low: float, high: float, **more: Any) -> Measurement:
    """A share with its exact interval."""
    fields: dict[str, Any] = {
        "unit": "fraction",
        "n": 250,
        "n_of": "members",
        "method": "exact count",
        "floor": None,
    }
    interval = Interval(low=low, high=high, method="Clopper-Pearson", over="records")
    return Measurement(metric=metric, value=value, interval=interval, **{**fields, **more})


def membership(name: str, state: ModelState, power: float, *, scenario: str = "released-model") -> tuple[Outcome, Any]:
    """A membership outcome with its curve."""
    curve = roc_curve(power)
    ref = reference(f"roc:{scenario}:{name}@{state}", curve)
    at = {alpha: curve[int(np.argmin(np.abs(curve[:, 0] - alpha)))] for alpha in (0.1, 0.01)}
    measurements = [
        rate(
            "tpr_at_fpr",
            float(row[1]),
            float(row[2]),
            float(row[3]),
            at={"fpr": alpha},
            floor=alpha,
            floor_is="guessing at random",
        )
        for alpha, row in at.items()
    ]
    measurements.append(
        Measurement(
            metric="tpr_at_fpr",
            at={"fpr": 0.001},
            value=None,
            unit="fraction",
            n=2500,
            n_of="non-members",
            method="exact count",
            floor=0.001,
            floor_is="guessing at random",
            refused="needs at least 10000 non-members; the audit had 2500",
        )
    )
    precision = float(at[0.01][1] * 0.1 / (at[0.01][1] * 0.1 + 0.01 * 0.9))
    measurements.append(
        rate(
            "precision",
            precision,
            precision * 0.7,
            min(1.0, precision * 1.25),
            at={"fpr": 0.01, "prior": 0.1},
            floor=0.1,
            floor_is="the prior itself",
        )
    )
    area = 0.5 + 0.19 * power
    measurements.append(rate("auc", area, area - 0.031, area + 0.031, unit="1", floor=0.5, floor_is="guessing"))
    outcome = Outcome(
        scenario=scenario,
        attack=name,
        state=state,
        status=OutcomeStatus.MEASURED,
        measurements=tuple(measurements),
        arrays=(ref,),
        observations=1,
        parameters={"reference_models": 16, "augmentations": 2, "offline": True},
        title="Membership inference by likelihood ratio" if "lira" in name else "Membership inference by loss",
        paper="Carlini et al., Membership Inference Attacks From First Principles, IEEE S&P 2022, arXiv:2112.03570",
        attack_class="membership",
        effort={"cpu_seconds": 48.21, "queries": 5500.0, "reference_models": 16.0},
        notes=("The attack chose the two-sided variant.",),
    )
    return outcome, (ref, curve)


def reconstruction(scenario: str, share: tuple[float, float, float], *, floor: float) -> Outcome:
    """A gradient inversion outcome."""
    value, low, high = share
    return Outcome(
        scenario=scenario,
        attack="inversion.gradient-matching",
        state=ModelState.TRAINED,
        status=OutcomeStatus.MEASURED,
        measurements=(
            rate(
                "recovered_share",
                value,
                low,
                high,
                n=40,
                n_of="reconstructed records",
                floor=floor,
                floor_is="the best match among other people's records",
            ),
            Measurement(
                metric="psnr",
                value=13.42,
                unit="dB",
                interval=Interval(low=12.6, high=14.2, method="bootstrap", over="records"),
                n=40,
                n_of="reconstructed records",
                floor=11.9,
                floor_is="the nearest population record",
                method="mean over records",
            ),
        ),
        observations=5,
        parameters={"iterations": 400, "restarts": 2, "total_variation": [0.0, 0.0001, 0.01], "cosine": True},
        title="Reconstruction of records by matching gradients",
        paper="Geiping et al., Inverting Gradients, NeurIPS 2020, arXiv:2003.14053",
        attack_class="reconstruction",
        effort={"cpu_seconds": 91.7, "iterations": 4000.0},
    )


def labels(scenario: str) -> Outcome:
    """A label recovery outcome."""
    return Outcome(
        scenario=scenario,
        attack="inversion.labels",
        state=ModelState.INITIAL,
        status=OutcomeStatus.MEASURED,
        measurements=(
            rate(
                "label_accuracy",
                0.8125,
                0.6719,
                0.9116,
                n=48,
                n_of="labels",
                floor=0.3125,
                floor_is="guessing the most frequent label",
            ),
        ),
        observations=6,
        title="Recovery of labels from an update",
        paper="Zhao et al., iDLG, 2020, arXiv:2001.02610",
        attack_class="reconstruction",
        effort={"cpu_seconds": 0.41},
    )


def not_measured(scenario: str, attack: str, status: str, reason: str, *, kind: str = "reconstruction") -> Outcome:
    """An attack that gave no measurement."""
    return Outcome(
        scenario=scenario,
        attack=attack,
        state=ModelState.TRAINED,
        status=status,
        reasons=(reason,),
        title=attack.split(".")[-1].replace("-", " ").capitalize(),
        attack_class=kind,
    )


def scenarios() -> tuple[ScenarioSummary, ...]:
    """Three adversaries."""
    limit = Threshold(
        metric="tpr_at_fpr[fpr=0.01]", limit=0.05, reason="Five times the false alarms; the policy's default gate."
    )
    share = Threshold(metric="recovered_share", limit=0.1, reason="One record in ten, twice what chance gives at most.")
    return (
        ScenarioSummary(
            name="honest-server",
            title="A curious server",
            actor="server",
            description="The coordinator follows the protocol and looks at every update that it receives.",
            behaviour="passive",
            grants=("client_update", "model_weights", "all_rounds", "training_recipe"),
            thresholds=(share,),
        ),
        ScenarioSummary(
            name="secure-aggregation-server",
            title="A server behind secure aggregation",
            actor="server",
            description="The coordinator sees only the sum of the updates of a round.",
            behaviour="passive",
            grants=("aggregate_update", "model_weights", "all_rounds"),
            withheld=("client_update: secure aggregation is enabled",),
            thresholds=(share,),
        ),
        ScenarioSummary(
            name="released-model",
            title="Someone who holds the released model",
            actor="outsider",
            description="Anyone who receives the model may query it and hold records of the same kind.",
            behaviour="passive",
            grants=("model_weights", "model_queries", "population_data", "training_recipe"),
            thresholds=(limit,),
            access=1,
            knowledge=2,
        ),
    )


def estimate(epsilon: float = 3.87) -> EpsilonEstimate:
    """An accounted epsilon with three engines."""
    if math.isinf(epsilon):
        return EpsilonEstimate(
            lower=math.inf,
            estimate=math.inf,
            upper=math.inf,
            delta=1e-5,
            unit="record",
            adjacency="add_or_remove",
            sampler="none",
            agreement=Agreement.SINGLE,
            assumptions=("No privacy mechanism is declared.",),
        )
    return EpsilonEstimate(
        lower=epsilon - 0.011,
        estimate=epsilon,
        upper=epsilon + 0.012,
        delta=1e-5,
        unit="record",
        adjacency="add_or_remove",
        sampler="poisson",
        mu_gdp=0.93,
        agreement=Agreement.AGREED,
        engines=(
            EngineValue(
                engine="prv-accountant",
                version="0.2.0",
                lower=epsilon - 0.011,
                estimate=epsilon,
                upper=epsilon + 0.012,
                seconds=0.62,
            ),
            EngineValue(
                engine="dp-accounting PLD",
                version="0.6.0",
                lower=epsilon - 0.006,
                estimate=epsilon,
                upper=epsilon + 0.004,
                seconds=1.91,
            ),
            EngineValue(engine="opacus RDP", version="1.6.0", upper=epsilon + 0.41, seconds=0.02),
        ),
        assumptions=(
            "Every record joins each step independently with the stated rate.",
            "Noise is drawn afresh in every step from a Gaussian in floating point.",
        ),
        seconds=2.55,
    )


def caps(epsilon: float) -> AttackCaps:
    """Bounds that follow from ``epsilon`` (pure form, enough for a figure)."""
    grid = np.unique(np.concatenate([np.logspace(-4, 0, 41), [0.001, 0.01, 0.1]]))
    points = tuple(CapPoint(fpr=float(f), tpr=float(min(1.0, math.exp(epsilon) * f + 1e-5))) for f in grid)
    return AttackCaps(
        roc=points,
        advantage=0.759,
        posterior={"0.5": 0.979, "0.1": 0.842, "0.01": 0.326},
        reconstruction={"0.01": 0.49, "0.001": 0.049},
    )


def settings(*, private: bool = True) -> dict[str, Any]:
    """The user's file with its defaults filled."""
    privacy = {
        "mechanism": "dp_sgd",
        "protects": "record",
        "adjacency": "add_or_remove",
        "noise_multiplier": 0.8,
        "clipping": {"norm": 1.0, "kind": "flat", "quantile": None, "count_noise": None},
        "sampling": "poisson",
        "delta": 1e-5,
        "claimed_epsilon": 3.0,
        "override": None,
    }
    none = dict.fromkeys(privacy) | {"mechanism": "none"}
    return {
        "audit": {"name": "ward-risk", "seed": 7, "release_context": "partners"},
        "federation": {
            "algorithm": "fedavg",
            "clients": 40,
            "participation": {"scheme": "poisson", "rate": 0.25, "count": None},
            "rounds": 100,
            "local": {
                "epochs": 1,
                "batch_size": 16,
                "optimizer": "sgd",
                "learning_rate": 0.05,
                "momentum": 0.0,
                "proximal": 0.0,
            },
            "partition": {"scheme": "dirichlet", "alpha": 0.5, "column": None},
            "batch_norm": "train",
            "aggregation": {"rule": "mean", "secure": {"enabled": True, "threshold": 8, "dropout": 0.1}},
            "update": {"quantise_bits": None, "top_k": None, "prune": None, "layers": "all"},
            "defences": [],
        },
        "privacy": privacy if private else none,
        "scenarios": ["honest-server", "secure-aggregation-server", "released-model"],
        "attacks": "default",
        "budget": {"minutes": 30.0},
    }


def target() -> TargetSummary:
    """A small convolutional model."""
    shape = TargetShape(
        modality=Modality.IMAGE,
        task=Task.CLASSIFICATION,
        classes=10,
        input_shape=(1, 28, 28),
        parameters=26010,
        traits=frozenset({"classifier_bias", "continuous_input"}),
        members=250,
        nonmembers=2500,
        population=1200,
        records_per_client=6,
        records_per_update=6,
        local_steps=1,
        aggregated_clients=10,
    )
    return TargetSummary(
        model="target.py:build",
        model_sha256=sha("model"),
        weights_sha256=sha("weights"),
        layers={"Conv2d": 2, "Linear": 2, "ReLU": 3},
        shape=shape,
        splits=tuple(
            SplitSummary(name=name, records=n, sha256=sha(name), drawn_by="audit.yaml")
            for name, n in (("members", 250), ("nonmembers", 2500), ("population", 1200))
        ),
        facts=("The model has 26010 parameters and 250 training records: 0.0096 records per parameter.",),
        warnings=("2500 non-members cannot support figures at a false-alarm rate of 0.1 %.",),
        utility={"members_accuracy": 0.984, "nonmembers_accuracy": 0.9124},
    )


def run_info() -> RunInfo:
    """A finished run."""
    return RunInfo(
        id="2026-11-20T0900Z-7f3a91c2",
        tool_version="0.1.0",
        started="2026-11-20T09:00:12Z",
        finished="2026-11-20T09:24:55Z",
        complete=True,
        command="auditor run audit.yaml",
        seed=7,
        settings_sha256=sha("settings"),
        protocol_sha256=sha("protocol"),
        environment={
            "auditor": build(),
            "python": "3.11.2",
            "torch": "2.13.0",
            "device": "cpu",
            "platform": "Linux x86_64",
        },
        cpu_seconds=1482.6,
    )


def finished(results: Results) -> Results:
    """The results with findings, claims, coverage, risks and controls as the project makes them."""
    judged_results = judged(results.model_copy(update={"findings": (), "claims": (), "risks": (), "coverage": ()}))
    return mapped(judged_results, ("gdpr", "eu_ai_act", "iso_42001"), today=datetime.date(2026, 11, 20))


def example(*, private: bool = True) -> Example:
    """A complete run: with DP-SGD, or without any mechanism (epsilon is infinite)."""
    lira, lira_array = membership("membership.lira", ModelState.TRAINED, 1.1 if private else 2.4)
    loss, loss_array = membership("membership.loss-threshold", ModelState.TRAINED, 0.35 if private else 1.2)
    failed = "NaN loss in the third restart; lower the step size of the attack"
    outcomes = (
        reconstruction("honest-server", (0.05, 0.0061, 0.1692) if private else (0.625, 0.458, 0.7727), floor=0.05),
        labels("honest-server"),
        not_measured(
            "honest-server",
            "inversion.linear-layer",
            OutcomeStatus.NOT_APPLICABLE,
            "needs a linear first layer; the model begins with Conv2d",
        ),
        reconstruction("secure-aggregation-server", (0.0, 0.0, 0.0881), floor=0.05),
        not_measured("secure-aggregation-server", "inversion.labels", OutcomeStatus.FAILED, failed),
        lira,
        loss,
        not_measured(
            "released-model",
            "membership.rmia",
            OutcomeStatus.NOT_RUN,
            "the budget of 30 minutes was spent",
            kind="membership",
        ),
    )
    epsilon = 3.87 if private else math.inf
    accounting = AccountingReport(
        epsilon=estimate(epsilon),
        reason="" if private else "No privacy mechanism is declared.",
        claimed_epsilon=3.0 if private else None,
        alternatives=(estimate(5.21).model_copy(update={"adjacency": "replace_one", "sampler": "shuffled"}),)
        if private
        else (),
        by_round=tuple(
            RoundEpsilon(round=r, lower=0.38 * r**0.5 + 0.06, upper=0.38 * r**0.5 + 0.082) for r in range(1, 101, 9)
        )
        if private
        else (),
        caps=caps(3.882) if private else None,
        lints=(
            Lint(
                id="claimed-epsilon-below",
                severity=LintSeverity.HIGH,
                title="The claimed epsilon is below the accounted one",
                found="The documents say 3.0; the settings give at least 3.859.",
                remedy="Correct the documents, or raise privacy.noise_multiplier.",
                source="recomputation",
                setting="privacy.claimed_epsilon",
            ),
        )
        if private
        else (),
        lints_checked=("claimed-epsilon-below", "delta-too-large", "sampling-not-poisson"),
        spec={"mechanism": "dp_sgd", "noise_multiplier": 0.8, "sampling_rate": 0.016, "steps": 6300}
        if private
        else {"mechanism": "none"},
    )
    results = Results(
        name="ward-risk",
        run=run_info(),
        organisation=Organisation(
            controller="Example Trust",
            data_category="special_category",
            subjects=12000,
            membership_is_sensitive=True,
            vulnerable_people=False,
            release_context="partners",
            purpose="Readmission risk, four hospitals, one shared model",
        ),
        settings=settings(private=private),
        positions={"privacy.noise_multiplier": "audit.yaml:41:21", "privacy.claimed_epsilon": "audit.yaml:46:20"},
        target=target(),
        scenarios=scenarios(),
        outcomes=outcomes,
        accounting=accounting,
        findings=(),
        claims=(),
        coverage=(),
        risks=(),
        controls=(),
        limits=(
            "The federation was simulated on one machine; the deployed system was not inspected.",
            "Non-members were drawn by the audit's author and may differ from the members.",
        ),
        arrays=(lira_array[0], loss_array[0]),
    )
    return Example(finished(results), {lira_array[0].name: lira_array[1], loss_array[0].name: loss_array[1]})


def hundred_findings() -> Example:
    """A hundred findings."""
    base = example()
    model = base.results.findings[0]
    states = [FindingStatus.EXCEEDS, FindingStatus.INCONCLUSIVE, FindingStatus.WITHIN]
    many = tuple(
        model.model_copy(update={"id": f"{model.id}#{k}", "status": states[k % 3], "value": k / 100})
        for k in range(100)
    )
    return Example(base.results.model_copy(update={"findings": many}), base.arrays)


def only_failures() -> Example:
    """Every attack failed; nothing was measured."""
    base = example(private=False)
    outcomes = tuple(
        o.model_copy(
            update={
                "status": OutcomeStatus.FAILED,
                "measurements": (),
                "arrays": (),
                "reasons": ("the model's loss is NaN",),
            }
        )
        for o in base.results.outcomes
    )
    update = {
        "outcomes": outcomes,
        "arrays": (),
        "accounting": AccountingReport(epsilon=None, reason="DP-FTRL has no known bound for these settings."),
        "run": base.results.run.model_copy(update={"complete": False}),
    }
    return Example(finished(base.results.model_copy(update=update)), {})


def nothing_found() -> Example:
    """A run without any finding, control, claim or risk."""
    base = example(private=False)
    update = dict.fromkeys(("outcomes", "findings", "claims", "risks", "controls", "coverage", "arrays"), ())
    return Example(base.results.model_copy(update=update), {})


HOSTILE = (
    "<script>alert(1)</script>",
    "{{ 7777 * 7 }}{% for x in y %}",
    '=HYPERLINK("http://evil.example")',
    "</style></title><img src=http://evil.example/x.png onerror=alert(1)>",
    '"><svg onload=alert(1)>',
)


def hostile() -> Example:
    """User strings that want to run, to fetch, or to break out of their place."""
    base = example()
    results = base.results
    outcomes = tuple(
        o.model_copy(update={"reasons": (HOSTILE[k % 5],)}) if o.reasons else o for k, o in enumerate(results.outcomes)
    )
    update = {
        "name": HOSTILE[0] + HOSTILE[3],
        "outcomes": outcomes,
        "organisation": results.organisation.model_copy(update={"controller": HOSTILE[1], "purpose": HOSTILE[2]}),
        "settings": results.settings | {"audit": {"name": HOSTILE[4], HOSTILE[3]: HOSTILE[0]}},
        "target": results.target.model_copy(update={"model": HOSTILE[3], "facts": HOSTILE}),
    }
    return Example(finished(results.model_copy(update=update)), base.arrays)


def non_latin() -> Example:
    """Names in other scripts, one of them very long and without a space."""
    base = example()
    organisation = base.results.organisation.model_copy(
        update={"controller": "Εθνικό Σύστημα Υγείας / Больница № 4", "purpose": "Ризик, κίνδυνος, مخاطر, 危険"}
    )
    long = "unbroken" * 24
    update = {
        "name": "Вероятность повторной госпитализации — πρόβλεψη",
        "organisation": organisation,
        "target": base.results.target.model_copy(update={"model": f"{long}.py:build"}),
    }
    return Example(finished(base.results.model_copy(update=update)), base.arrays)


EXAMPLES = {
    "private": example,
    "no_mechanism": lambda: example(private=False),
    "hundred": hundred_findings,
    "failures": only_failures,
    "nothing": nothing_found,
    "hostile": hostile,
    "non_latin": non_latin,
}
