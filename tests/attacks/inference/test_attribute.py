"""Attribute inference: found on memorised records, nothing beyond imputation on others."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auditor.attacks.base import Knowledge, RunContext
from auditor.attacks.inference.attribute import AttributeInference, imputed, masked, slots, with_value
from auditor.core.errors import AttackFailed
from auditor.metrics.choices import measure_choices, measure_gain
from auditor.observations.model import Column, SharedModel
from auditor.observations.records import Records
from auditor.observations.released import MaskedRecords
from tests.membership_cases import shared_model

COLUMN = Column("ward", 12, 16, "categorical")
MODEL: SharedModel = replace(
    shared_model(), build=lambda: nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 10))
)


def table(n: int, generator: torch.Generator) -> Records:
    """Twelve numbers, and a ward of four that says half of the label; labels else random."""
    ward = torch.randint(0, 4, (n,), generator=generator)
    labels = torch.randint(0, 10, (n,), generator=generator)
    copied = torch.rand(n, generator=generator) < 0.3
    labels = torch.where(copied, ward, labels)
    inputs = torch.cat([torch.randn(n, 12, generator=generator), F.one_hot(ward, 4).float()], dim=1)
    return Records(inputs, labels)


@pytest.fixture(scope="module")
def case() -> tuple[dict[str, Tensor], Records, Records, Records]:
    """An overfitted model, its members, others, and a population."""
    generator = torch.Generator().manual_seed(0)
    members, others, population = (table(n, generator) for n in (400, 400, 800))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = MODEL.build()
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(300):
        optimiser.zero_grad()
        F.cross_entropy(module(members.inputs), members.labels).backward()
        optimiser.step()
    return {k: v.detach() for k, v in module.state_dict().items()}, members, others, population


def attack(state: dict[str, Tensor], records: Records, population: Records, *, weight: float = 1.0):  # type: ignore[no-untyped-def]
    seen = MaskedRecords(state, masked(records, COLUMN), COLUMN)
    params = AttributeInference.Params(weight=weight)
    return AttributeInference(params).run(seen, Knowledge(MODEL, population=population), RunContext())


def test_members_attribute_is_found_beyond_imputation(
    case: tuple[dict[str, Tensor], Records, Records, Records],
) -> None:
    state, members, others, population = case
    for records, leaks in ((members, True), (others, False)):
        truth = slots(records.inputs, COLUMN)
        baseline = imputed(population, masked(records, COLUMN), COLUMN, with_label=True, seed=0)
        gain = measure_gain(attack(state, records, population), baseline, truth)
        assert gain.interval is not None
        assert (gain.interval.low > 0.05) == leaks


def test_prior_alone_is_imputation_without_the_label(
    case: tuple[dict[str, Tensor], Records, Records, Records],
) -> None:
    state, members, _, population = case
    found = attack(state, members, population, weight=0.0)
    expected = imputed(population, masked(members, COLUMN), COLUMN, with_label=False, seed=0)
    torch.testing.assert_close(found.scores, expected.scores)
    (accuracy,) = measure_choices(found, slots(members.inputs, COLUMN))
    assert accuracy.interval is not None
    assert accuracy.interval.low < 0.3


def test_a_value_no_population_record_has_can_still_be_answered(
    case: tuple[dict[str, Tensor], Records, Records, Records],
) -> None:
    state, members, _, population = case
    without = population[slots(population.inputs, COLUMN) != 3]
    found = attack(state, members, without)
    assert found.choices == (0, 1, 2, 3)
    assert found.scores.isfinite().all()


def test_the_mask_hides_the_column() -> None:
    records = table(20, torch.Generator().manual_seed(1))
    assert not masked(records, COLUMN).inputs[:, 12:].any()
    assert (slots(with_value(records, COLUMN, 2).inputs, COLUMN) == 2).all()


def test_a_number_is_not_a_category(case: tuple[dict[str, Tensor], Records, Records, Records]) -> None:
    state, members, _, population = case
    column = Column("age", 0, 1, "continuous")
    with pytest.raises(AttackFailed, match="'age' is continuous"):
        AttributeInference(AttributeInference.Params()).run(
            MaskedRecords(state, masked(members, column), column), Knowledge(MODEL, population=population), RunContext()
        )
