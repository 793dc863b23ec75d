"""Property inference: a planted share is read off an update, an update without signal is not, and noise hides it."""

from typing import Any

import pytest
import torch
from torch import Tensor

from auditor.attacks.base import Knowledge, RunContext
from auditor.attacks.inference.property import Property, PropertyInference, ridge
from auditor.core.errors import AttackFailed
from auditor.learning.functional import FunctionalModel
from auditor.metrics.choices import measure_shares
from auditor.observations.model import Column, LocalTraining, Preprocessing, Privatisation
from auditor.observations.records import Records
from auditor.observations.released import ClientUpdate
from auditor.observations.returned import InferredShare
from tests.membership_cases import digits, shared_model

RECORDS = 20
LOCAL = LocalTraining("fedsgd", 1, RECORDS, "sgd", 0.1, 0.0, 0.0, 1, "train")


def update(records: Records, *, noise: float = 0.0, seed: int = 0) -> ClientUpdate:
    model = FunctionalModel(shared_model())
    before = model.initial_state(seed)
    sent = model.gradient(before, records)
    generator = torch.Generator().manual_seed(seed)
    sent = {name: value + noise * torch.randn(value.shape, generator=generator) for name, value in sent.items()}
    return ClientUpdate(0, before, sent, "gradient", len(records), LOCAL, Privatisation(noise_std=noise))


def clients(share: Tensor, *, value: int, seed: int = 0) -> list[Records]:
    """Clients whose share of records with label ``value`` is given."""
    pool, generator = digits(seed=seed).candidates, torch.Generator().manual_seed(seed)
    with_it, without = (pool.labels == value).nonzero()[:, 0], (pool.labels != value).nonzero()[:, 0]
    made = []
    for one in share.tolist():
        count = round(one * RECORDS)
        mine = with_it[torch.randperm(len(with_it), generator=generator)[:count]]
        others = without[torch.randperm(len(without), generator=generator)[: RECORDS - count]]
        made.append(pool[torch.cat([mine, others])])
    return made


def inferred(seen: ClientUpdate, **params: Any) -> InferredShare:
    known = Knowledge(shared_model(), population=digits(seed=0).population)
    return PropertyInference(PropertyInference.Params(**params)).run(seen, known, RunContext(seed=1))


def asked() -> int:
    return int(digits(seed=0).population.labels.mode().values)


def test_the_planted_share_is_read() -> None:
    """Non-iid clients: shares from none to all, read better than by a guess in at least nine of twelve."""
    truths = torch.linspace(0, 1, 12)
    held = clients(truths, value=asked())
    found = [inferred(update(one, seed=i)) for i, one in enumerate(held)]
    exact = [float((one.labels == asked()).double().mean()) for one in held]
    closer, error = measure_shares(found, exact)
    assert closer.interval is not None
    assert closer.interval.low > 0.5
    assert (error.value or 0) < 0.5 * (error.floor or 0)


def test_an_update_that_holds_nothing_says_nothing() -> None:
    """Updates of other clients than the ones asked about: no closer than a guess."""
    shares = torch.rand(16, generator=torch.Generator().manual_seed(3))
    held, others = clients(shares, value=asked()), clients(shares[torch.randperm(16)], value=asked(), seed=4)
    found = [inferred(update(one, seed=i)) for i, one in enumerate(others)]
    exact = [float((one.labels == asked()).double().mean()) for one in held]
    closer, _ = measure_shares(found, exact)
    assert closer.interval is not None
    assert closer.interval.low <= 0.5


def test_strong_noise_takes_the_answer_back_to_the_middle() -> None:
    quiet = inferred(update(clients(torch.tensor([1.0]), value=asked())[0]))
    loud = inferred(update(clients(torch.tensor([1.0]), value=asked())[0], noise=10.0))
    assert quiet.share > 0.8
    assert loud.share < quiet.share - 0.1


def test_a_columns_commonest_value_is_asked_about() -> None:
    inputs = torch.tensor([[1.0, 0.0, 0.3], [1.0, 0.0, 0.1], [0.0, 1.0, 0.2]])
    table = Records(inputs, torch.tensor([0, 1, 1]))
    columns = Preprocessing(columns=(Column("ward", 0, 2, "categorical"), Column("age", 2, 3, "continuous"))).columns
    attack = PropertyInference(PropertyInference.Params())
    found = attack.asked_property(columns, table)
    assert (found.column and found.column.name, found.value) == ("ward", 0)
    assert found.holds(table).tolist() == [True, True, False]
    assert attack.asked_property((), table) == Property(None, 1)
    with pytest.raises(AttackFailed, match="not a categorical column"):
        PropertyInference(PropertyInference.Params(column="age")).asked_property(columns, table)


def test_ridge_is_ridge() -> None:
    """Against the closed form, and a line through points without noise."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    weights = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    assert ridge(rows, rows @ weights + 3, torch.ones(1, 4).double()) == pytest.approx(2.5, abs=1e-3)


def test_ties_count_for_nobody() -> None:
    closer, error = measure_shares([InferredShare(0.5, 0.5)] * 3, [0.2, 0.5, 0.9])
    assert (closer.value, closer.n, error.value) == (0.5, 0, pytest.approx(0.7 / 3))
