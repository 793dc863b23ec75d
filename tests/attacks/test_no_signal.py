"""Controls without a signal: every registered attack that rebuilds something reports the floor, and recovers nothing.

Two controls. *Pure noise*: the update of a client is replaced by Gaussian noise of the same size, so that nothing in
it depends on the records. *Batch statistics*: a network of width 8 with BatchNorm in training mode, whose gradient
mixes the records of a batch (research on inversion finds the floor there).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor, nn

from auditor.attacks.base import AltersModel, Attack, Knowledge, ReadsPrior, RunContext
from auditor.attacks.registry import available
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.measurement import Measurement
from auditor.core.shape import Modality
from auditor.learning.functional import FunctionalModel
from auditor.metrics.identification import measure_identification
from auditor.metrics.labels import measure_labels
from auditor.metrics.reconstruction import measure_reconstruction
from auditor.observations.model import Column, Preprocessing, SharedModel
from auditor.observations.records import Records
from auditor.observations.released import (
    Aggregate,
    ClientUpdate,
    Observation,
    RoundView,
    StolenCheckpoint,
    SummedRounds,
)
from auditor.observations.returned import AttackOutput, Reconstruction, RecoveredLabels
from tests.attacks.inversion import cases

UPDATES, SIZE, ROUNDS = 5, 2, 12
SMALL = {
    "iterations": 10, "restarts": 1, "sweeps": 1, "bins": 64, "total_variation": (0.01,),
    "steps": 300, "updates": 400, "hidden": 128, "training_steps": 500, "features": 1024,
}  # fmt: skip
"""Only how long an attack tries, and the size of networks it trains; a control has nothing to find in any budget."""

NAMES = sorted(
    name
    for name, entry in available().items()
    if entry.attack is not None and (entry.attack.attack_class == "reconstruction" or name == "inversion/labels")
)

SLOW = {"inversion/deep-leakage", "inversion/generative-prior", "inversion/learned-inversion"}
"""L-BFGS and the training of networks take minutes, so these controls run with the figures of papers."""

_LONG = (pytest.mark.papers, pytest.mark.timeout(1800))

MARKED = [pytest.param(name, marks=_LONG) if name in SLOW else name for name in NAMES]


@dataclass(frozen=True)
class Case:
    """Something to attack: a model with its records, half of them for the adversary."""

    model: SharedModel
    members: Records
    population: Records


@cache
def pictures() -> Case:
    digits = load_digits()
    records = Records(torch.from_numpy(digits.images / 16).float()[:, None], torch.from_numpy(digits.target))
    ranges = Preprocessing(low=(0.0,), high=(1.0,))
    return _case(_convolutions, records, preprocessing=ranges, input_shape=(1, 8, 8))


def _convolutions() -> nn.Module:
    layers = nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 10))


@cache
def table() -> Case:
    tumours = load_breast_cancer()
    values = torch.from_numpy((tumours.data - tumours.data.mean(0)) / tumours.data.std(0)).float()
    columns = tuple(Column(name, i, i + 1, "continuous") for i, name in enumerate(tumours.feature_names))
    return _case(
        cases.mlp(30, 64, 32, classes=2), Records(values, torch.from_numpy(tumours.target)), input_shape=(30,),
        modality=Modality.TABULAR, preprocessing=Preprocessing(columns=columns), classes=2,
        traits=cases.TRAITS | {"first_layer_linear", "changing_cohorts"},
    )  # fmt: skip


@cache
def categories() -> Case:
    """Rows of three categories and two numbers that are drawn evenly, so that none is likelier than another."""
    generator = torch.Generator().manual_seed(6)
    drawn = [torch.randint(size, (400,), generator=generator) for size in (6, 8, 5)]
    coded = [nn.functional.one_hot(part, size).float() for part, size in zip(drawn, (6, 8, 5), strict=True)]
    values = torch.cat([*coded, torch.randn(400, 2, generator=generator)], 1)
    columns = (
        Column("a", 0, 6, "categorical"), Column("b", 6, 14, "categorical"), Column("c", 14, 19, "categorical"),
        Column("x", 19, 20, "continuous"), Column("y", 20, 21, "continuous"),
    )  # fmt: skip
    labels = torch.randint(2, (400,), generator=generator)
    return _case(
        cases.mlp(21, 64, 32, classes=2), Records(values, labels), input_shape=(21,), modality=Modality.TABULAR,
        preprocessing=Preprocessing(columns=columns), classes=2,
        traits=cases.TRAITS | {"first_layer_linear", "changing_cohorts", "categorical_column"},
    )  # fmt: skip


@cache
def text() -> Case:
    model = cases.decoder_model(60, 32, 2, tokens=6, records=SIZE)
    tokens = torch.randint(1, 60, (400, 6), generator=torch.Generator().manual_seed(0))
    return Case(model, Records(tokens[:200], tokens[:200]), Records(tokens[200:], tokens[200:]))


def _case(build: Callable[[], nn.Module], records: Records, **options: object) -> Case:
    model = cases.shared_model(build, records=SIZE, **options)  # type: ignore[arg-type]
    return Case(model, records[:200], records[200:])


CASES = {"pictures": pictures, "table": table, "categories": categories, "text": text}


def attack_of(name: str) -> Attack:
    kind = available()[name].attack
    assert kind is not None
    small = {key: value for key, value in SMALL.items() if key in kind.Params.model_fields}
    if name == "inversion/deep-leakage":
        small["iterations"] = 2  # of L-BFGS, 20 evaluations each
    return kind(kind.Params.model_validate(small))


def reasons_against(attack: Attack, case: Case) -> list[str]:
    granted = attack.needs.grants | attack.needs.one_of
    shape = case.model.shape
    return [*attack.needs.unmet(scenario="control", granted=granted, shape=shape), *attack.unmet(shape)]


def noise_like(values: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Gaussian noise with the standard deviation of each tensor."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=generator) * value.std(correction=0) for name, value in values.items()
    }


def seen_by(attack: Attack, update: ClientUpdate) -> Observation:
    """The update in the form that the attack reads.

    An attack on a form that is not here must get one here: no control may be left out silently.
    """
    if ClientUpdate in attack.observes:
        return update
    if Aggregate in attack.observes:
        return Aggregate(
            0, update.before, update.update, update.kind, clients=1, records=update.records, local=update.local
        )
    if StolenCheckpoint in attack.observes:
        after = {name: value + update.update.get(name, 0) for name, value in update.before.items()}
        return StolenCheckpoint(update.before, after, update.update, update.records, update.local)
    if SummedRounds in attack.observes:
        views = tuple(
            RoundView(t, update.before, {}, (t % 3, 3 + t % 2), noise_like(update.update, 70 + t))
            for t in range(ROUNDS)
        )
        clients = range(5)
        return SummedRounds(
            views, (0,), dict.fromkeys(clients, 1.0), dict.fromkeys(clients, SIZE), update.kind, update.local
        )
    raise AssertionError(f"{attack.name} observes {attack.observes}; say here how its control is made")


def answers(
    name: str, case: Case, *, signal: bool, batch_norm: str = "eval", size: int = SIZE
) -> tuple[list[AttackOutput], list[Records]]:
    """What the attack makes of updates with or without a signal; updates that it refuses count as nothing returned."""
    outputs: list[AttackOutput] = []
    truths: list[Records] = []
    for k in range(UPDATES):
        attack, context = attack_of(name), RunContext(seed=100 + k)
        truth = case.members[k * size : (k + 1) * size]
        known = Knowledge(case.model, case.population, candidates=_prior(attack, case, truth, k))
        model, state = case.model, FunctionalModel(case.model).initial_state(k)
        if isinstance(attack, AltersModel):
            sent = attack.alter(model, state, known, context)
            model, state = sent.model, dict(sent.state)
            known = replace(known, model=model)
        update = cases.gradient_update(model, truth, state=state, local=cases.recipe(batch_norm=batch_norm))
        if not signal:
            update = replace(update, update=noise_like(update.update, k))
        truths.append(truth)
        try:
            outputs.append(attack.run(seen_by(attack, update), known, context))
        except AttackFailed:
            outputs.append(_nothing(name, case))
    return outputs, truths


def _nothing(name: str, case: Case) -> AttackOutput:
    if name == "inversion/labels":
        return RecoveredLabels(torch.zeros(case.model.shape.classes, dtype=torch.int64))
    return Reconstruction(case.members.inputs[:0])


def _prior(attack: Attack, case: Case, truth: Records, seed: int) -> Records | None:
    """The first true record among others, at a place that says nothing."""
    if not isinstance(attack, ReadsPrior):
        return None
    rows = Records(
        torch.cat([truth.inputs[:1], case.population.inputs[: attack.prior_records() - 1]]),
        torch.cat([truth.labels[:1], case.population.labels[: attack.prior_records() - 1]]),
    )
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]


def measured(name: str, case: Case, outputs: list[AttackOutput], truths: list[Records]) -> dict[str, Measurement]:
    attack = attack_of(name)
    if name == "inversion/labels":
        counts = [output for output in outputs if isinstance(output, RecoveredLabels)]
        found = measure_labels(counts, truths, classes=case.model.shape.classes, population=case.population.labels)
    elif isinstance(attack, ReadsPrior):
        rebuilt = [output for output in outputs if isinstance(output, Reconstruction)]
        found = measure_identification(rebuilt, truths, candidates=attack.prior_records())
    else:
        rebuilt = [output for output in outputs if isinstance(output, Reconstruction)]
        found = measure_reconstruction(rebuilt, truths, population=case.population, model=case.model, seed=1)
    return {measurement.metric: measurement for measurement in found}


def assert_at_floor(found: Mapping[str, Measurement]) -> None:
    """Nothing recovered, and no metric beyond its floor by more than its interval."""
    for metric, measurement in found.items():
        assert measurement.value is not None
        assert measurement.interval is not None
        assert measurement.floor is not None
        if metric in ("exact_row_share", "exact_text_share"):
            assert measurement.value == 0, measurement
        elif metric == "recovered_share":  # the null lets one look-alike in a hundred count
            assert measurement.value <= 0.1, measurement
            assert measurement.interval.low <= measurement.floor, measurement
        elif measurement.higher_is_worse:
            assert measurement.interval.low <= measurement.floor, measurement
        else:
            assert measurement.interval.high >= measurement.floor, measurement


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("name", MARKED)
def test_pure_noise_gives_the_floor(name: str, kind: str) -> None:
    case = CASES[kind]()
    reasons = reasons_against(attack_of(name), case)
    if reasons:
        assert all(len(reason.split()) > 3 for reason in reasons), "an attack that does not apply says why"
        return
    assert_at_floor(measured(name, case, *answers(name, case, signal=False)))


def test_every_attack_is_controlled_on_something() -> None:
    left = {name for name in NAMES if all(reasons_against(attack_of(name), make()) for make in CASES.values())}
    assert not left


@pytest.mark.parametrize(
    ("name", "kind"),
    [("inversion/linear-layer", "table"), ("inversion/spear", "table"), ("inversion/dager", "text"),
     ("inversion/table-span", "categories"),
     ("inversion/stolen-checkpoint", "table"), ("inversion/labels", "pictures")],
)  # fmt: skip
def test_the_same_bench_shows_a_recovery_where_there_is_a_signal(name: str, kind: str) -> None:
    case = CASES[kind]()
    found = measured(name, case, *answers(name, case, signal=True))
    best = found.get("recovered_share") or found["label_accuracy"]
    assert best.value is not None
    assert best.floor is not None
    assert best.value > max(0.4, best.floor)


# Batch statistics


@cache
def normalised() -> Case:
    """Digits enlarged to 16x16 and a network of three convolutions of width 8, each with BatchNorm."""
    digits = load_digits()
    values = nn.functional.interpolate(torch.from_numpy(digits.images / 16).float()[:, None], (16, 16), mode="bilinear")
    records = Records(values, torch.from_numpy(digits.target))
    ranges = Preprocessing(low=(0.0,), high=(1.0,))
    traits = cases.TRAITS | {"batch_norm", "changing_cohorts"}
    return _case(_batch_norms, records, preprocessing=ranges, input_shape=(1, 16, 16), traits=traits)


def _batch_norms() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, stride in ((1, 1), (8, 2), (8, 1)):
        layers += [nn.Conv2d(inputs, 8, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


UNTOUCHED = {
    "inversion/labels": "reads the classifier's gradient, which batch statistics leave as it is",
    "inversion/prior-aware": "compares with a list that holds the record, and rebuilds nothing",
}
"""Attacks that batch statistics do not hinder, with the reason."""


WEAKENED = {
    "inversion/generative-prior": "the head's gradient still holds what each record leaves before it, and a prior that "
    "knows digits reads some records off that: 7 of 40, and 0 of 400 where others of the same class took their place",
}
"""Attacks that batch statistics hinder without stopping them: they recover records, and no others than those."""


def same_class(case: Case, truths: list[Records], seed: int) -> list[Records]:
    """For each record another one of its class, which no update holds."""
    rest, generator = case.members[sum(map(len, truths)) :], torch.Generator().manual_seed(seed)
    rows = [[torch.where(rest.labels == label)[0] for label in truth.labels] for truth in truths]
    picked = [[int(r[torch.randint(len(r), (1,), generator=generator)]) for r in each] for each in rows]
    return [rest[torch.tensor(each)] for each in picked]


@pytest.mark.parametrize("name", MARKED)
def test_batch_statistics_of_a_narrow_network_give_the_floor(name: str) -> None:
    case, attack = normalised(), attack_of(name)
    if isinstance(attack, AltersModel):
        assert Grant.ALTERS_MODEL in attack.needs.grants
        return  # the layer that a lying server puts in front reads records before any batch statistics
    if name in UNTOUCHED:
        return
    reasons = reasons_against(attack, case)
    if reasons:
        assert all(len(reason.split()) > 3 for reason in reasons)
        return
    outputs, truths = answers(name, case, signal=True, batch_norm="train", size=4)
    if name not in WEAKENED:
        assert_at_floor(measured(name, case, outputs, truths))
        return
    for seed in range(5):
        share = measured(name, case, outputs, same_class(case, truths, seed))["recovered_share"].value
        assert share is not None
        assert share <= 0.05, share
