"""Federations trained at once against one after the other."""

import pytest
import torch
from torch import nn

from auditor.core.seeds import derive_seed
from auditor.learning.choice import Choice
from auditor.learning.errors import Diverged, LearningError
from auditor.learning.functional import FunctionalModel
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


@pytest.mark.parametrize("algorithm", ["fedsgd", "fedavg", "fedprox"])
@pytest.mark.parametrize("kind", ["flat", "per_layer"])
@pytest.mark.parametrize("sampling", ["poisson", "shuffled", "full"])
def test_dp_sgd_in_a_stack_equals_opacus(algorithm: str, kind: str, sampling: str) -> None:
    """Clipping, noise and denominators of the stack against Opacus' optimisers, empty Poisson batches included."""
    local = {"epochs": 2, "batch_size": 2, "learning_rate": 0.1, "proximal": 0.2 if algorithm == "fedprox" else 0.0}
    declared = privacy("dp_sgd", clipping={"norm": 0.3, "kind": kind}, sampling=sampling)
    setting = federation(algorithm=algorithm, local=local, rounds=1)
    found = _both(setting, declared, shared(mlp, (6,)), separable(60), "stacked")
    assert found.choice.how == "stacked"
    for each, subset, seed in list(zip(found.results, SUBSETS, SEEDS, strict=True))[-1:]:
        alone = train_federation(setting, declared, shared(mlp, (6,)), separable(60)[subset], seed=seed).mechanism
        assert each.mechanism.noise_std == pytest.approx(alone.noise_std, rel=1e-4)
        assert each.mechanism.noise_values == alone.noise_values
        assert each.mechanism.clipped_norm == pytest.approx(alone.clipped_norm, rel=1e-4)
        assert each.mechanism.clipped_norm is not None
        assert each.mechanism.clipped_norm <= 0.3


def test_fedsgd_gradients_in_a_stack() -> None:
    found = _both(federation(algorithm="fedsgd"), privacy(), shared(mlp, (6,)), separable(60), "stacked")
    assert found.choice.how == "stacked"


def test_the_timing_probe_leaves_no_trace_in_what_is_measured() -> None:
    found = _both(federation(), privacy("dp_sgd"), linear_model(), separable(60), "auto")
    assert "times as fast as serial" in found.choice.reason
    alone = train_federation(federation(), privacy("dp_sgd"), linear_model(), separable(60)[SUBSETS[0]], seed=SEEDS[0])
    assert found.results[0].mechanism.noise_values == alone.mechanism.noise_values


def test_adaptive_clipping_is_serial_with_its_reason() -> None:
    declared = privacy("dp_sgd", clipping={"norm": 0.3, "kind": "adaptive"})
    for how in ("auto", "stacked"):
        found = _both(federation(), declared, linear_model(), separable(60), how)
        assert how == "stacked" or "a norm of its own" in found.choice.reason


def test_record_level_clipping_with_batch_norm_is_refused() -> None:
    model = shared(BatchNormNet, (6,))
    with pytest.raises(LearningError, match="BatchNorm in train mode mixes"):
        train_federations(federation(), privacy("dp_sgd"), model, separable(60), SUBSETS, seeds=SEEDS, how="stacked")


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


def test_dropout_masks_differ_from_round_to_round() -> None:
    """One linear layer behind dropout of everything but a few inputs: each round moves other weights."""

    def dropping() -> nn.Module:
        return nn.Sequential(nn.Dropout(0.9), nn.Linear(6, 3, bias=False))

    local = {"epochs": 1, "batch_size": 1, "learning_rate": 0.1}
    setting = federation(algorithm="fedsgd", clients=1, rounds=1, local=local)
    moved = []
    for rounds in (1, 2):
        found = train_federations(
            setting.model_copy(update={"rounds": rounds}),
            privacy(),
            shared(dropping, (6,)),
            separable(1),
            [torch.arange(1)] * 12,
            seeds=list(range(12)),
            how="stacked",
        )
        moved.append([each.state["1.weight"] for each in found.results])
    start = [
        FunctionalModel(shared(dropping, (6,))).initial_state(derive_seed(i, "initial"))["1.weight"] for i in range(12)
    ]
    first = torch.stack([(a - b).abs().sum(0) > 0 for a, b in zip(moved[0], start, strict=True)])
    second = torch.stack([(a - b).abs().sum(0) > 0 for a, b in zip(moved[1], moved[0], strict=True)])
    assert first.any()
    assert not torch.equal(first, second)


def test_divergence_is_named() -> None:
    setting = federation(local={"epochs": 3, "batch_size": 4, "learning_rate": 1e30})
    pool = Records(separable(60).inputs * 1e10, separable(60).labels)
    with pytest.raises(Diverged, match="round 1 of 3"):
        train_federations(setting, privacy(), linear_model(), pool, SUBSETS, seeds=SEEDS, how="stacked")


def test_nothing_to_train() -> None:
    assert train_federations(federation(), privacy(), linear_model(), separable(9), [], seeds=[]).results == ()
