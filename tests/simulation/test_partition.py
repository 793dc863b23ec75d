"""Who holds what, and who takes part."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.observations.records import Records
from auditor.simulation.errors import SimulationError
from auditor.simulation.participation import expected_participants, participants, survivors
from auditor.simulation.partition import partition
from tests.simulation.cases import federation, separable


def _dirichlet(alpha: float, clients: int = 5) -> object:
    return federation(clients=clients, partition={"scheme": "dirichlet", "alpha": alpha})


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 200),
    clients=st.integers(1, 12),
    scheme=st.sampled_from(["iid", "dirichlet", "by_column"]),
    alpha=st.floats(0.05, 10),
    seed=st.integers(0, 1000),
)
def test_every_record_belongs_to_exactly_one_client(n: int, clients: int, scheme: str, alpha: float, seed: int) -> None:
    setting = federation(clients=clients, partition={"scheme": scheme, "alpha": alpha, "column": "ward"})
    groups = torch.arange(n) * 7 % 5
    parts = partition(setting, separable(n), groups=groups, seed=seed)
    assert len(parts) == clients
    assert sorted(torch.cat(parts).tolist()) == list(range(n))


def test_iid_sizes_differ_by_at_most_one() -> None:
    sizes = [len(part) for part in partition(federation(clients=7), separable(100), groups=None, seed=0)]
    assert max(sizes) - min(sizes) == 1


def test_partition_follows_the_seed() -> None:
    one, again, other = (partition(federation(), separable(50), groups=None, seed=seed) for seed in (1, 1, 2))
    assert all(map(torch.equal, one, again))
    assert not all(map(torch.equal, one, other))


def _skew(alpha: float) -> float:
    """Mean share of the commonest class in a client; 1/3 when even."""
    records = separable(600)
    parts = partition(_dirichlet(alpha), records, groups=None, seed=3)  # type: ignore[arg-type]
    shares = [torch.bincount(records.labels[part], minlength=3).max().item() / len(part) for part in parts]
    return sum(shares) / len(shares)


def test_smaller_alpha_gives_more_uneven_labels() -> None:
    assert _skew(0.1) > _skew(1.0) > _skew(100.0)
    assert _skew(1000.0) < 0.4


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5])
def test_dirichlet_keeps_a_minimum_size(alpha: float) -> None:
    parts = partition(_dirichlet(alpha, clients=10), separable(400), groups=None, seed=0)  # type: ignore[arg-type]
    assert min(map(len, parts)) >= 4


def test_dirichlet_on_regression_targets_cuts_them_into_ranges() -> None:
    records = Records(torch.randn(200, 6), torch.linspace(0, 1, 200))
    parts = partition(_dirichlet(0.1), records, groups=None, seed=0)  # type: ignore[arg-type]
    spread = [records.labels[part].std().item() for part in parts if len(part) > 5]
    assert min(spread) < 0.2


def test_dirichlet_on_text_is_refused() -> None:
    records = Records(torch.zeros(9, 4, dtype=torch.int64), torch.zeros(9, 4, dtype=torch.int64))
    with pytest.raises(SimulationError, match="no class label"):
        partition(_dirichlet(1.0), records, groups=None, seed=0)  # type: ignore[arg-type]


def test_by_column_keeps_values_together() -> None:
    setting = federation(clients=3, partition={"scheme": "by_column", "column": "ward"})
    groups = torch.tensor([0, 1, 2, 3] * 10 + [0] * 20)
    parts = partition(setting, separable(60), groups=groups, seed=0)
    owners = [set(groups[part].tolist()) for part in parts]
    assert sum(len(owner) for owner in owners) == 4
    assert set().union(*owners) == {0, 1, 2, 3}
    assert {0} in owners  # the largest value fills a client alone


def test_by_column_without_the_column_is_refused() -> None:
    setting = federation(partition={"scheme": "by_column", "column": "ward"})
    with pytest.raises(SimulationError, match=r"federation\.partition\.scheme is 'by_column'"):
        partition(setting, separable(9), groups=None, seed=0)


def test_dirichlet_without_alpha_is_refused() -> None:
    with pytest.raises(SimulationError, match="without 'alpha'"):
        partition(federation(partition={"scheme": "dirichlet"}), separable(9), groups=None, seed=0)


def test_full_participation_is_everybody() -> None:
    assert participants(federation(clients=5), round=0, seed=0) == [0, 1, 2, 3, 4]


def test_poisson_participation_has_the_declared_rate() -> None:
    setting = federation(clients=50, participation={"scheme": "poisson", "rate": 0.2})
    sizes = [len(participants(setting, round=i, seed=0)) for i in range(200)]
    # 10,000 coins: standard error 0.004
    assert abs(sum(sizes) / 10_000 - 0.2) < 0.016
    assert len(set(sizes)) > 5
    assert expected_participants(setting) == pytest.approx(10.0)


def test_fixed_size_participation_draws_without_replacement() -> None:
    setting = federation(clients=9, participation={"scheme": "fixed_size", "count": 4})
    rounds = [participants(setting, round=i, seed=0) for i in range(60)]
    assert all(len(set(cohort)) == 4 for cohort in rounds)
    assert set().union(*map(set, rounds)) == set(range(9))


def test_participation_of_a_round_is_independent_of_the_others() -> None:
    setting = federation(clients=30, participation={"scheme": "poisson", "rate": 0.5})
    forwards = [participants(setting, round=i, seed=7) for i in range(5)]
    backwards = [participants(setting, round=i, seed=7) for i in reversed(range(5))]
    assert forwards == backwards[::-1]
    assert forwards[0] != forwards[1]


@pytest.mark.parametrize(
    ("participation", "message"),
    [
        ({"scheme": "poisson"}, "without 'rate'"),
        ({"scheme": "fixed_size"}, "without 'count'"),
        ({"scheme": "fixed_size", "count": 9}, "there are 4 clients"),
    ],
)
def test_incomplete_participation_is_refused(participation: dict[str, object], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        participants(federation(participation=participation), round=0, seed=0)


def test_drop_outs_and_threshold() -> None:
    secure = {"enabled": True, "threshold": 10, "dropout": 0.4}
    setting = federation(clients=20, aggregation={"secure": secure})
    left = [survivors(setting, list(range(20)), round=i, seed=0) for i in range(100)]
    sizes = {len(each) for each in left}
    assert 0 in sizes  # P[fewer than 10 of 20 left] is 0.13
    assert not sizes & set(range(1, 10))
    assert survivors(federation(), [0, 1], round=0, seed=0) == [0, 1]
