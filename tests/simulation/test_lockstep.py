"""Federations trained at once against one after the other."""

import pytest
import torch

from auditor.learning.choice import Choice
from auditor.learning.errors import Diverged
from auditor.learning.many import TOLERANCE
from auditor.observations.records import Records
from auditor.simulation.lockstep import TrainedFederations, train_federations
from auditor.simulation.rounds import train_federation
from tests.learning.models import BatchNormNet, cnn, images, mlp, shared
from tests.simulation.cases import federation, linear_model, privacy, separable

SUBSETS = [torch.arange(0, 60, 2), torch.arange(1, 60, 2), torch.arange(60), torch.arange(5)]
SEEDS = [3, 4, 5, 6]


def _both(setting: object, declared: object, model: object, pool: Records, how: str) -> TrainedFederations:
    together = train_federations(setting, declared, model, pool, SUBSETS, seeds=SEEDS, how=how)  # type: ignore[arg-type]
    for found, subset, seed in zip(together.results, SUBSETS, SEEDS, strict=True):
        alone = train_federation(setting, declared, model, pool[subset], seed=seed)  # type: ignore[arg-type]
        for name in alone.state:
            torch.testing.assert_close(found.state[name], alone.state[name], rtol=1e-4, atol=TOLERANCE)
        assert [log.clients for log in found.history] == [log.clients for log in alone.history]
        for one, other in zip(found.history, alone.history, strict=True):
            assert one.records == other.records
            assert (one.loss or 0.0) == pytest.approx(other.loss or 0.0, rel=1e-3)
        assert found.client_records == alone.client_records
    return together


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"algorithm": "fedprox", "local": {"epochs": 2, "batch_size": 4, "learning_rate": 0.1, "proximal": 0.3}},
        {"partition": {"scheme": "dirichlet", "alpha": 0.3}, "participation": {"scheme": "poisson", "rate": 0.5}},
        {"update": {"top_k": 0.5, "quantise_bits": 8}, "aggregation": {"rule": "median"}},
    ],
)
def test_equals_one_after_the_other(changes: dict[str, object]) -> None:
    found = _both(federation(**changes), privacy(), shared(mlp, (6,)), separable(60), "stacked")
    assert found.choice == Choice("stacked", "as asked")


@pytest.mark.parametrize("mechanism", ["dp_fedavg", "local", "distributed", "dp_ftrl"])
def test_client_level_noise_is_the_same_noise(mechanism: str) -> None:
    found = _both(federation(), privacy(mechanism), linear_model(), separable(60), "stacked")
    assert found.choice.how == "stacked"
    assert all(each.mechanism.noise_values > 0 for each in found.results)


@pytest.mark.parametrize(("setting", "mechanism"), [({"algorithm": "fedsgd"}, "none"), ({}, "dp_sgd")])
def test_what_cannot_be_stacked_is_serial_with_its_reason(setting: dict[str, object], mechanism: str) -> None:
    found = _both(federation(**setting), privacy(mechanism), linear_model(), separable(60), "auto")
    assert found.choice.how == "serial"
    assert "one client at a time" in found.choice.reason


@pytest.mark.parametrize("batch_norm", ["train", "frozen"])
def test_batch_norm(batch_norm: str) -> None:
    _both(federation(batch_norm=batch_norm), privacy(), shared(BatchNormNet, (6,)), separable(60), "stacked")


def test_auto_on_images() -> None:
    found = _both(federation(), privacy(), shared(cnn, (1, 6, 6)), images(60), "auto")
    assert "times as fast as serial" in found.choice.reason


def test_by_column_groups_belong_to_the_pool() -> None:
    setting = federation(clients=3, partition={"scheme": "by_column", "column": "ward"})
    groups = torch.arange(60) % 3
    found = train_federations(
        setting, privacy(), linear_model(), separable(60), SUBSETS, seeds=SEEDS, groups=groups, how="stacked"
    )
    assert found.results[2].client_records == (20, 20, 20)


def test_divergence_is_named() -> None:
    setting = federation(local={"epochs": 3, "batch_size": 4, "learning_rate": 1e30})
    pool = Records(separable(60).inputs * 1e10, separable(60).labels)
    with pytest.raises(Diverged, match="round 1 of 3"):
        train_federations(setting, privacy(), linear_model(), pool, SUBSETS, seeds=SEEDS, how="stacked")


def test_nothing_to_train() -> None:
    assert train_federations(federation(), privacy(), linear_model(), separable(9), [], seeds=[]).results == ()
