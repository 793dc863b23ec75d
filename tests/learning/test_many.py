"""Vectorised training against the serial path."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from auditor.core.shape import Task
from auditor.learning.choice import Choice, choose, train_many
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import Trained, batch_order
from auditor.learning.many import TOLERANCE, Job, train_serially, train_stacked
from auditor.observations.model import LocalTraining
from auditor.observations.records import Records
from tests.learning.models import Attention, BatchNormNet, cnn, images, mlp, recipe, shared, table
from tests.learning.test_functional import DataDependent


def _jobs(model: FunctionalModel, local: LocalTraining, sizes: list[int], n: int) -> list[Job]:
    jobs = []
    for i, size in enumerate(sizes):
        subset = torch.randperm(n, generator=torch.Generator().manual_seed(i))[:size]
        batches = [subset[batch] for batch in batch_order(size, local, i)]
        jobs.append(Job(model.initial_state(i), batches, seed=i))
    return jobs


def _assert_equal(one: list[Trained], other: list[Trained]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.losses.shape == b.losses.shape
        torch.testing.assert_close(a.losses, b.losses, rtol=1e-4, atol=TOLERANCE)
        assert set(a.state) == set(b.state)
        for name in a.state:
            torch.testing.assert_close(a.state[name], b.state[name], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("build", [mlp, cnn, BatchNormNet])
@pytest.mark.parametrize(
    "changes",
    [{}, {"momentum": 0.9}, {"optimizer": "adam", "learning_rate": 0.01}, {"proximal": 0.5, "algorithm": "fedprox"}],
)
def test_equals_the_serial_path(build: Callable[[], nn.Module], changes: dict[str, object]) -> None:
    records = images(40) if build is cnn else table(40)
    local = recipe(**changes)
    # A bias before BatchNorm has gradient zero; Adam blows its rounding error up to a full step unless that lies
    # below Adam's own epsilon, as it does in double precision.
    dtype = torch.float64 if local.optimizer == "adam" else torch.float32
    model = FunctionalModel(shared(build, tuple(records.inputs.shape[1:])), dtype=dtype)
    jobs = _jobs(model, local, [16] * 5, 40)
    _assert_equal(train_stacked(model, jobs, records, local), train_serially(model, jobs, records, local))


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adam", "learning_rate": 0.01}])
def test_ragged_jobs_equal_the_serial_path(changes: dict[str, object]) -> None:
    """Different numbers of records, hence of steps and of records in the last batch; one job without any."""
    model, records, local = FunctionalModel(shared(mlp, (6,))), table(40), recipe(**changes)
    jobs = _jobs(model, local, [3, 17, 0, 9, 40, 1], 40)
    _assert_equal(train_stacked(model, jobs, records, local), train_serially(model, jobs, records, local))


@pytest.mark.parametrize("batch_norm", ["eval", "frozen"])
def test_models_keep_their_own_fixed_tensors(batch_norm: str) -> None:
    """Frozen weights and running statistics differ between the models of a stack."""
    model, records, local = FunctionalModel(shared(BatchNormNet, (6,))), table(40), recipe(batch_norm=batch_norm)
    jobs = _jobs(model, local, [7, 12, 30], 40)
    for i, job in enumerate(jobs):
        job.state["norm.weight"].fill_(1.0 + i)  # type: ignore[index]
        job.state["norm.running_mean"].fill_(0.1 * i)  # type: ignore[index]
    _assert_equal(train_stacked(model, jobs, records, local), train_serially(model, jobs, records, local))


def test_language_models_with_attention_equal_the_serial_path() -> None:
    model = FunctionalModel(shared(Attention, (5,), task=Task.LANGUAGE_MODEL))
    tokens = torch.randint(1, 11, (20, 5), generator=torch.Generator().manual_seed(0))
    local = recipe()
    jobs = _jobs(model, local, [8, 8, 5], 20)
    records = Records(tokens, tokens)
    _assert_equal(train_stacked(model, jobs, records, local), train_serially(model, jobs, records, local))


@pytest.mark.parametrize("stack", [1, 2, 32])
def test_size_of_the_stack_does_not_matter(stack: int) -> None:
    model, records, local = FunctionalModel(shared(mlp, (6,))), table(40), recipe()
    jobs = _jobs(model, local, [9, 3, 22, 14, 7], 40)
    found = train_many(model, jobs, records, local, how="stacked", stack=stack)
    assert found.choice.how == "stacked"
    _assert_equal(found.results, train_serially(model, jobs, records, local))


def test_auto_gives_the_serial_results_whatever_it_chooses() -> None:
    model, records, local = FunctionalModel(shared(mlp, (6,))), table(40), recipe()
    jobs = _jobs(model, local, [12] * 8, 40)
    found = train_many(model, jobs, records, local)
    assert "times as fast" in found.choice.reason
    _assert_equal(found.results, train_serially(model, jobs, records, local))


def test_one_job_is_serial() -> None:
    model, local = FunctionalModel(shared(mlp, (6,))), recipe()
    assert choose(model, _jobs(model, local, [8], 40), table(40), local) == Choice("serial", "one model alone")


def test_a_model_that_vmap_cannot_follow_is_serial() -> None:
    model, records, local = FunctionalModel(shared(DataDependent, (6,))), table(40), recipe()
    jobs = _jobs(model, local, [8, 8], 40)
    found = train_many(model, jobs, records, local)
    assert found.choice.how == "serial"
    assert found.choice.reason.startswith("vmap cannot follow this model")
    _assert_equal(found.results, train_serially(model, jobs, records, local))


def test_batch_norm_over_unequal_batches_is_serial() -> None:
    model, records, local = FunctionalModel(shared(BatchNormNet, (6,))), table(40), recipe()
    jobs = _jobs(model, local, [8, 7], 40)
    found = train_many(model, jobs, records, local, how="stacked")
    assert found.choice == Choice("serial", "BatchNorm in train mode needs batches of equal size")


def test_dropout_differs_between_models_and_follows_the_seed() -> None:
    def dropping() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 32), nn.Dropout(0.5), nn.Linear(32, 3))

    model, records, local = FunctionalModel(shared(dropping, (6,))), table(40), recipe()
    one = _jobs(model, local, [8], 40)[0]
    first, second = train_stacked(model, [one, one], records, local, seed=1)
    again = train_stacked(model, [one, one], records, local, seed=1)[0]
    assert not torch.equal(first.state["0.weight"], second.state["0.weight"])
    assert torch.equal(first.state["0.weight"], again.state["0.weight"])


def test_no_jobs() -> None:
    model = FunctionalModel(shared(mlp, (6,)))
    assert train_stacked(model, [], table(4), recipe()) == []
