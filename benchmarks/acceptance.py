"""The acceptance rows of membership attacks and audits of epsilon, measured: figure, number of trials, interval.

The tests hold the least figures (docs/membership-acceptance.md names them); this prints what is reached.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy import stats

from auditor.attacks.base import Attack, Knowledge, RunContext
from auditor.attacks.inference.source import SourceInference
from auditor.attacks.membership.cohort_unmixing import CohortUnmixing
from auditor.attacks.membership.fedmia import FedMia
from auditor.attacks.membership.gradient_alignment import GradientAlignment
from auditor.attacks.membership.lira import Lira
from auditor.attacks.membership.loss_series import LossSeries
from auditor.attacks.membership.loss_threshold import LossThreshold
from auditor.attacks.membership.output_rule import OutputRule
from auditor.attacks.membership.population_threshold import PopulationThreshold
from auditor.attacks.membership.quantile_regression import QuantileRegression
from auditor.attacks.membership.reference_quantile import ReferenceQuantile
from auditor.attacks.membership.rmia import Rmia, area
from auditor.attacks.membership.update_density import UpdateDensity
from auditor.auditing.one_run import one_run_bound
from auditor.auditing.trade_off import approximate_bound, gaussian_bound
from auditor.auditing.weighted import weighted_bound
from auditor.metrics.intervals import clopper_pearson
from auditor.metrics.roc import RocSample, tpr_at_fpr
from auditor.metrics.shift import blind_baseline
from auditor.observations.released import Rounds
from benchmarks import stand_in
from benchmarks.measuring import Options, table

_HEAD = ("Row", "Figure", "Measured", "n", "95 % interval", "Least", "CPU s")
TARGETS = range(0, 16, 2)


def run(options: Options) -> None:
    """Print every row that is measured in minutes."""
    rows: list[list[str]] = []
    for group in (released, federated, from_sums, bounds):
        started = time.process_time()
        found = list(group(quick=options.quick))
        for row in found:
            rows.append([*row, f"{(time.process_time() - started) / len(found):.1f}"])
            print(" | ".join(rows[-1]), flush=True)
    table(_HEAD, [*rows, *_stand_in(options)])


def _stand_in(options: Options) -> Iterator[list[str]]:
    """Rows of the case L, where the shared baskets are there."""
    if not (options.shared / "data" / "tabular" / "groceries_baskets.npz").is_file():
        return
    for classes in (100,) if options.quick else (100, 30):
        started = time.process_time()
        rows = [_mean(*row, of="targets", least="-") for row in stand_in.released(options.shared, classes=classes)]
        seeds = 1 if options.quick else 3
        worse = stand_in.ascent(options.shared, classes=classes, seeds=seeds)
        rows += [_mean(*row, of="seeds x 10 clients", least="-") for row in worse]
        rows += stand_in.trap(options.shared, classes=classes)
        for row in rows:
            made = [*row, f"{(time.process_time() - started) / len(rows):.1f}"]
            print(" | ".join(made), flush=True)
            yield made


def _mean(row: str, name: str, values: Sequence[float], of: str, least: str) -> list[str]:
    """Mean with Student's t interval over targets or seeds."""
    mean = statistics.fmean(values)
    reach = 0.0
    if len(values) > 1:
        spread = statistics.stdev(values) / len(values) ** 0.5
        reach = float(stats.t.ppf(0.975, len(values) - 1)) * spread
    return [row, name, f"{mean:.3f}", f"{len(values)} {of}", f"{mean - reach:.3f} to {mean + reach:.3f}", least]


def released(*, quick: bool) -> Iterator[list[str]]:
    """Rows 1 to 3 and 10: digits with 30 % of the labels redrawn, eight targets."""
    from tests.membership_cases import digits, pool

    models = pool(digits(label_noise=0.3), pairs=4 if quick else 32)
    some = 4 if quick else 16
    cases: list[tuple[str, str, Attack, int, str]] = [
        ("1", "loss threshold AUC", LossThreshold(LossThreshold.Params()), 4, ">= .600"),
        ("1", "population threshold AUC", PopulationThreshold(PopulationThreshold.Params()), 4, ">= .600"),
        ("1", "modified entropy AUC", OutputRule(OutputRule.Params()), 4, ">= .600"),
        ("2", f"LiRA online AUC, K={some}", Lira(Lira.Params(mode="online", variance="pooled")), some, ">= .766"),
        ("2", f"LiRA offline AUC, K={some}", Lira(Lira.Params(mode="offline", variance="pooled")), some, ">= .722"),
        ("2", f"LiRA shrunk AUC, K={some}", Lira(Lira.Params(variance="shrunk")), some, ">= .764"),
        ("3", f"BASE AUC, K={some}", Rmia(Rmia.Params(mode="online", temperature=1.0)), some, ">= .762"),
        ("3", f"RMIA offline, learned, AUC, K={some}", Rmia(Rmia.Params()), some, ">= .74"),
        ("2", "reference quantile AUC", ReferenceQuantile(ReferenceQuantile.Params()), some, ">= .722"),
        (
            "10",
            "quantile regression AUC",
            QuantileRegression(QuantileRegression.Params(least_population=300)),
            4,
            ">= .600",
        ),
    ]
    if not quick:
        cases.insert(6, ("2", "LiRA online AUC, K=62", Lira(Lira.Params(variance="pooled")), 62, ">= .778"))
    for row, name, attack, references, least in cases:
        areas, rates = [], []
        for target in list(TARGETS)[: 2 if quick else None]:
            seen, known, truth = models.game(target, references)
            seen = type(seen)(seen.outputs, seen.losses, seen.labels, models.split.candidates.inputs)
            scores = attack.run(seen, known, RunContext()).scores  # type: ignore[union-attr]
            areas.append(area(scores, truth))
            rates.append(tpr_at_fpr(RocSample.of(scores[truth].numpy(), scores[~truth].numpy()), 0.01).tpr)
        yield _mean(row, name, areas, "targets", least)
        if row == "2":
            yield _mean(row, name.replace("AUC", "TPR at 1 %"), rates, "targets", ">= .16")


def _areas(attack: Attack, log: Any, *, secure: bool = False) -> float:
    from tests.membership_cases import shared_model

    found = []
    for client in range(10):
        scores = attack.run(log.seen(client, secure=secure), Knowledge(shared_model()), RunContext()).scores  # type: ignore[union-attr]
        asked = (log.owner == client) | (log.owner < 0)
        found.append(area(scores[asked], (log.owner == client)[asked]))
    return statistics.fmean(found)


def federated(*, quick: bool) -> Iterator[list[str]]:
    """Rows 4 and 7: ten clients, three seeds, mean over the clients; without and with clipping and noise."""
    from auditor.attacks.membership import fedmia, gradient_alignment, loss_series, traces, update_density
    from tests.federated_cases import federation
    from tests.membership_cases import shared_model

    attacks: dict[str, tuple[Attack, str]] = {
        "avg-cosine": (GradientAlignment(GradientAlignment.Params()), ">= .73"),
        "FedMIA-I": (FedMia(FedMia.Params(signal="loss")), ">= .70"),
        "FedMIA-II": (FedMia(FedMia.Params()), ">= .70"),
        "loss series": (LossSeries(LossSeries.Params(against="nothing")), ">= .62"),
        "update density (experimental)": (UpdateDensity(UpdateDensity.Params()), "-"),
    }
    plain: dict[str, list[float]] = {name: [] for name in attacks}
    noisy: dict[str, list[float]] = {name: [] for name in attacks}
    blind, right, asked_of = [], 0, 0
    rounds = 8 if quick else 60
    for seed in range(1 if quick else 3):
        for kept, options in ((plain, {}), (noisy, {"clip": 1.0, "noise": 1.0})):
            log = federation(seed=seed, rounds=rounds, **options)  # type: ignore[arg-type]
            seen = log.seen(0)
            # One pass for all questions about one log.
            cosines = traces.alignments(seen, shared_model(), RunContext())
            losses = traces.local_losses(seen, shared_model(), RunContext())
            for module in (fedmia, gradient_alignment, update_density):
                module.alignments = lambda *_, known=cosines, **__: known  # type: ignore[attr-defined]
            for module in (fedmia, loss_series):
                module.local_losses = lambda *_, known=losses, **__: known  # type: ignore[attr-defined]
            for name, (attack, _) in attacks.items():
                kept[name].append(_areas(attack, log))
            if kept is plain:
                inside = log.owner >= 0
                found = blind_baseline(log.candidates[inside], log.candidates[~inside], seed=seed)
                blind.append(next(m.value or 0.0 for m in found.measures.measurements if m.metric == "auc"))
                mine = Rounds(log.rounds, log.candidates[inside], None, log.local)
                choice = SourceInference(SourceInference.Params()).run(mine, Knowledge(shared_model()), RunContext())
                right += int((choice.scores.argmax(dim=1) == log.owner[inside]).sum())
                asked_of += int(inside.sum())
    for name, (_, least) in attacks.items():
        yield _mean("4", f"{name} AUC", plain[name], "seeds x 10 clients", least)
    for name in attacks:
        yield _mean("4", f"{name} AUC, clip 1, noise 1", noisy[name], "seeds x 10 clients", "<= .62")
    yield _mean("4", "blind baseline AUC", blind, "seeds", ".44 to .56")
    exact = clopper_pearson(right, asked_of)
    figures = [
        f"{right / asked_of:.3f}",
        f"{asked_of} records, {len(blind)} seeds",
        f"{exact.low:.3f} to {exact.high:.3f}",
    ]
    yield ["7", "source inference accuracy (chance .10)", *figures, ">= .34"]


def from_sums(*, quick: bool) -> Iterator[list[str]]:
    """Row 8: cohorts of five of ten clients under secure aggregation."""
    from auditor.attacks.membership import cohort_unmixing, traces
    from tests.federated_cases import federation
    from tests.membership_cases import shared_model

    values = []
    for seed in range(1 if quick else 3):
        log = federation(cohort=5, rounds=20 if quick else 50, seed=seed)
        known = traces.alignments(log.seen(secure=True), shared_model(), RunContext(), aggregate=True)
        cohort_unmixing.alignments = lambda *_, known=known, **__: known  # type: ignore[assignment]
        values.append(_areas(CohortUnmixing(CohortUnmixing.Params()), log, secure=True))
    yield _mean("8", "unmixing of secure sums AUC", values, "seeds x 10 clients", ">= .67")


def bounds(*, quick: bool) -> Iterator[list[str]]:
    """Row 5: medians of lower bounds on epsilon."""
    from tests.auditing.test_one_run_audits import DELTA, laplace, normal

    random = np.random.default_rng(2026)
    draws = 20 if quick else 300

    def median(name: str, least: str, game: Callable[[], Any], bound: Callable[..., Any], count: int) -> list[str]:
        found = sorted(bound(*game()).epsilon for _ in range(count))
        # Order statistics: distribution-free for a median.
        low = max(0, int(stats.binom.ppf(0.025, count, 0.5)) - 1)
        ends = f"{found[low]:.3f} to {found[count - 1 - low]:.3f}"
        return ["5", name, f"{statistics.median(found):.3f}", f"{count} games", ends, least]

    for epsilon, fixed, weighted in ((1.0, ">= .84", ">= .84"), (2.0, "(1.79)", ">= 1.79")):
        sample = lambda e=epsilon: laplace(1000, e, random)  # noqa: E731
        yield median(
            f"Laplace {epsilon:g}, fixed guesses", fixed, sample, lambda s, c: one_run_bound(s, c, delta=0.0), draws
        )
        yield median(f"Laplace {epsilon:g}, weighted", weighted, sample, weighted_bound, draws)
    least = {
        1: (".25", ".10", ".37"),
        2: (".64", ".52", ".95"),
        4: ("1.40", "1.69", "2.04"),
        8: ("2.48", "2.81", "4.01"),
    }
    for epsilon, (walk, curve, many) in least.items():
        sample = lambda e=epsilon: normal(1000, float(e), random)  # noqa: E731
        large = lambda e=epsilon: normal(10_000, float(e), random)  # noqa: E731
        weighted_delta = lambda s, c: weighted_bound(s, c, delta=DELTA)  # noqa: E731
        by_curve = lambda s, c: gaussian_bound(s, c, delta=DELTA)  # noqa: E731
        yield median(f"Gaussian {epsilon}, weighted, no assumption", f">= {walk}", sample, weighted_delta, draws)
        yield median(f"Gaussian {epsilon}, f-DP", f">= {curve}", sample, by_curve, max(9, draws // 5))
        yield median(f"Gaussian {epsilon}, f-DP, m=10,000", f">= {many}", large, by_curve, 5 if quick else 15)
        plain = lambda s, c: approximate_bound(s, c, delta=DELTA)  # noqa: E731
        yield median(f"Gaussian {epsilon}, (epsilon, delta) curve", "-", sample, plain, max(9, draws // 10))


torch.set_num_threads(1)
