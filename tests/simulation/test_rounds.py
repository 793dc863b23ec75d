"""Federated rounds: closed forms, determinism, failures."""

import pytest
import torch
from torch import nn

from auditor.core.errors import AuditorError
from auditor.learning.errors import Diverged
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import batch_order, local_training
from auditor.observations.records import Records
from auditor.simulation.errors import SimulationError
from auditor.simulation.recipe import local_recipe
from auditor.simulation.rounds import train_federation
from tests.learning.models import BatchNormNet, shared
from tests.simulation.cases import federation, flat, linear_model, privacy, separable


def test_fedsgd_with_one_client_and_one_batch_is_a_gradient_step() -> None:
    records, model = separable(20), linear_model()
    setting = federation(algorithm="fedsgd", clients=1, rounds=1, local={"batch_size": 20, "learning_rate": 0.3})
    functional = FunctionalModel(model)
    start = functional.initial_state(0)
    found = train_federation(setting, privacy(), model, records, seed=1, initial=start)
    gradient = functional.gradient(start, records)
    for name in gradient:
        torch.testing.assert_close(found.state[name], start[name] - 0.3 * gradient[name])


@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0)])
def test_fedsgd_over_full_batches_is_centralised_training(optimizer: str, momentum: float) -> None:
    """The mean of the clients' gradients, weighted by records, is the gradient of all records."""
    records, model = separable(23), linear_model()
    local = {"batch_size": 50, "learning_rate": 0.05, "optimizer": optimizer, "momentum": momentum}
    setting = federation(algorithm="fedsgd", clients=4, rounds=5, local=local)
    start = FunctionalModel(model).initial_state(0)
    found = train_federation(setting, privacy(), model, records, seed=1, initial=start)
    module = nn.Linear(6, 3)
    module.load_state_dict(start)
    step: torch.optim.Optimizer = (
        torch.optim.Adam(module.parameters(), lr=0.05)
        if optimizer == "adam"
        else torch.optim.SGD(module.parameters(), lr=0.05, momentum=momentum)
    )
    for _ in range(5):
        step.zero_grad()
        nn.functional.cross_entropy(module(records.inputs), records.labels).backward()
        step.step()
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(found.state[name], tensor, rtol=1e-4, atol=1e-5)


def test_fedavg_with_one_client_is_local_training() -> None:
    records, model = separable(20), linear_model()
    setting = federation(clients=1, rounds=1, local={"epochs": 3, "batch_size": 6, "learning_rate": 0.1})
    functional = FunctionalModel(model)
    start = functional.initial_state(0)
    found = train_federation(setting, privacy(), model, records, seed=1, initial=start)
    # Whatever the shuffle, it is some order of the records: find the one the seed gives by the public functions.
    from auditor.core.seeds import derive_seed
    from auditor.simulation.partition import partition

    held = records[partition(setting, records, groups=None, seed=1)[0]]
    recipe = local_recipe(setting, 20)
    batches = batch_order(20, recipe, derive_seed(1, "client", 0, 0))
    expected = local_training(functional, start, held, recipe, batches=batches)
    for name in expected:
        torch.testing.assert_close(found.state[name], expected[name])


def test_training_learns_and_logs() -> None:
    seen: list[float] = []
    found = train_federation(
        federation(rounds=10), privacy(), linear_model(), separable(90), seed=0, progress=seen.append
    )
    losses = [log.loss for log in found.history]
    assert len(losses) == 10
    assert losses[-1] is not None
    assert losses[0] is not None
    assert losses[-1] < losses[0] / 2
    assert seen == pytest.approx([i / 10 for i in range(1, 11)])
    assert found.history[0].clients == (0, 1, 2, 3)
    assert found.history[0].records == 90
    assert sum(found.client_records) == 90


def test_same_seed_same_model_other_seed_other_model() -> None:
    setting = federation(participation={"scheme": "poisson", "rate": 0.7})
    one, again, other = (
        flat(train_federation(setting, privacy("dp_sgd"), linear_model(), separable(40), seed=seed).state)
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = flat(train_federation(federation(), privacy("dp_sgd"), linear_model(), separable(40), seed=1).state)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    other = flat(train_federation(federation(), privacy("dp_sgd"), linear_model(), separable(40), seed=1).state)
    assert torch.equal(one, other)


def test_clients_without_records_are_left_out_and_noted() -> None:
    found = train_federation(federation(clients=6), privacy(), linear_model(), separable(4), seed=0)
    assert len(found.history[0].clients) == 4
    assert len(found.history[0].invited) == 6
    assert found.notes == ("2 of 6 clients hold no records and never take part.",)


def test_fewer_records_than_a_batch() -> None:
    setting = federation(local={"batch_size": 64, "epochs": 2, "learning_rate": 0.1})
    found = train_federation(setting, privacy(), linear_model(), separable(9), seed=0)
    assert torch.isfinite(flat(found.state)).all()


def test_an_empty_cohort_leaves_the_model_as_it_was() -> None:
    setting = federation(clients=2, rounds=30, participation={"scheme": "poisson", "rate": 0.2})
    found = train_federation(setting, privacy(), linear_model(), separable(20), seed=0)
    empty = [log for log in found.history if not log.clients]
    assert empty
    assert all(log.loss is None and log.records == 0 for log in empty)


@pytest.mark.parametrize("mechanism", ["none", "dp_fedavg", "distributed"])
def test_rounds_below_the_threshold_do_not_move_the_model(mechanism: str) -> None:
    secure = {"enabled": True, "threshold": 4, "dropout": 1.0}
    setting = federation(aggregation={"secure": secure})
    start = FunctionalModel(linear_model()).initial_state(3)
    found = train_federation(setting, privacy(mechanism), linear_model(), separable(20), seed=0, initial=start)
    assert all(torch.equal(found.state[name], start[name]) for name in start)


@pytest.mark.parametrize("mechanism", ["none", "dp_fedavg"])
def test_divergence_names_round_and_setting(mechanism: str) -> None:
    setting = federation(local={"epochs": 3, "batch_size": 4, "learning_rate": 1e30}, rounds=5)
    records = Records(separable(40).inputs * 1e10, separable(40).labels)
    with pytest.raises(Diverged, match=r"round \d of 5.*federation\.local\.learning_rate \(now 1e\+30\)") as caught:
        train_federation(setting, privacy(mechanism), linear_model(), records, seed=0)
    assert isinstance(caught.value, AuditorError)


def test_fedprox_stays_nearer_to_the_start_than_fedavg() -> None:
    start = FunctionalModel(linear_model()).initial_state(0)
    moved = []
    for algorithm, mu in (("fedavg", 0.0), ("fedprox", 5.0)):
        local = {"epochs": 5, "batch_size": 4, "learning_rate": 0.1, "proximal": mu}
        setting = federation(algorithm=algorithm, rounds=1, local=local)
        state = train_federation(setting, privacy(), linear_model(), separable(60), seed=0, initial=start).state
        moved.append(float((flat(state) - flat(start)).norm()))
    assert moved[1] < 0.8 * moved[0]


def test_proximal_without_fedprox_is_refused() -> None:
    with pytest.raises(SimulationError, match=r"federation\.local\.proximal is 0.1, but 'fedavg'"):
        local_recipe(federation(local={"proximal": 0.1}), 10)


@pytest.mark.parametrize("batch_norm", ["train", "eval", "frozen"])
def test_batch_norm_statistics_move_only_in_train_mode(batch_norm: str) -> None:
    model = shared(BatchNormNet, (6,))
    start = FunctionalModel(model).initial_state(0)
    setting = federation(batch_norm=batch_norm, rounds=2)
    found = train_federation(setting, privacy(), model, separable(60), seed=0, initial=start).state
    assert torch.equal(found["norm.running_mean"], start["norm.running_mean"]) == (batch_norm != "train")
    assert torch.equal(found["norm.weight"], start["norm.weight"]) == (batch_norm == "frozen")
    assert not torch.equal(found["first.weight"], start["first.weight"])


def test_only_the_chosen_layers_move() -> None:
    model = shared(BatchNormNet, (6,))
    start = FunctionalModel(model).initial_state(0)
    setting = federation(update={"layers": ["last"]}, batch_norm="eval")
    found = train_federation(setting, privacy(), model, separable(60), seed=0, initial=start).state
    changed = {name for name in start if not torch.equal(found[name], start[name])}
    assert changed == {"last.weight", "last.bias"}


def test_an_empty_cohort_under_client_level_noise_still_adds_it() -> None:
    """The bound holds for rounds that nobody joined only if they are as noisy as the others."""
    setting = federation(clients=2, rounds=1, participation={"scheme": "poisson", "rate": 1e-9})
    start = FunctionalModel(linear_model()).initial_state(3)
    found = train_federation(setting, privacy("dp_fedavg"), linear_model(), separable(20), seed=0, initial=start)
    assert found.history[0].clients == ()
    assert (flat(found.state) - flat(start)).abs().min() > 0


def test_a_unit_of_protection_that_is_not_the_clipped_one_is_noted() -> None:
    declared = privacy("dp_ftrl", protects="record")
    (note,) = train_federation(federation(), declared, linear_model(), separable(20), seed=0).notes
    assert note == "privacy.protects is 'record'; as played, 'dp_ftrl' clips the contribution of each client."


@pytest.mark.parametrize("rule", ["median", "trimmed_mean", "krum"])
def test_robust_rules_train(rule: str) -> None:
    setting = federation(clients=6, rounds=15, aggregation={"rule": rule})
    found = train_federation(setting, privacy(), linear_model(), separable(120), seed=0)
    assert found.history[-1].loss is not None
    assert found.history[-1].loss < 0.5


def test_local_recipe_counts_steps() -> None:
    setting = federation(local={"epochs": 3, "batch_size": 8})
    assert local_recipe(setting, 20).steps == 9
    assert local_recipe(setting, 0).steps == 0
    assert local_recipe(setting, 5).steps == 3
    one = local_recipe(federation(algorithm="fedsgd", local={"epochs": 3, "batch_size": 8}), 20)
    assert (one.steps, one.epochs) == (1, 1)


def test_lone_records_with_batch_norm() -> None:
    """A remainder of one record is left out; a FedSGD client with a single record is a user's mistake."""
    model = shared(BatchNormNet, (6,))
    found = train_federation(federation(local={"batch_size": 5}), privacy(), model, separable(24), seed=0)
    assert found.history[0].records == 20  # four clients with 6 records each
    setting = federation(algorithm="fedsgd", clients=6)
    with pytest.raises(SimulationError, match="holds a single record, and BatchNorm"):
        train_federation(setting, privacy(), model, separable(6), seed=0)
