"""Clipping and noise: what is declared is what is measured."""

import math

import pytest
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from scipy import stats
from torch import nn

from auditor.learning.errors import LearningError
from auditor.learning.functional import FunctionalModel
from auditor.simulation.clients import Clients, clip_update
from auditor.simulation.errors import SimulationError
from auditor.simulation.mechanisms import mechanism_of
from auditor.simulation.meter import Meter, total_norm
from auditor.simulation.private_steps import PrivateSteps, expected_batch, private_batches
from auditor.simulation.recipe import local_recipe
from auditor.simulation.rounds import train_federation
from auditor.simulation.server import NoiseTree
from tests.learning.models import BatchNormNet, recipe, shared
from tests.simulation.cases import federation, flat, linear_model, privacy, separable

MECHANISMS = ("dp_sgd", "dp_fedavg", "local", "distributed", "dp_ftrl")


def _chi_square_interval(std: float, n: int, level: float = 0.999) -> tuple[float, float]:
    """Where the root mean square of ``n`` Gaussians of deviation ``std`` lies with probability ``level``."""
    low, high = (stats.chi2.ppf(q, n) for q in ((1 - level) / 2, (1 + level) / 2))
    return std * math.sqrt(low / n), std * math.sqrt(high / n)


@pytest.mark.parametrize("kind", ["flat", "per_layer"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_measured_noise_and_norm_are_the_declared_ones(mechanism: str, kind: str) -> None:
    declared = privacy(mechanism, noise_multiplier=1.7, clipping={"norm": 0.25, "kind": kind})
    found = train_federation(federation(rounds=12), declared, linear_model(), separable(60), seed=0).mechanism
    assert found.noise_std is not None
    assert found.clipped_norm is not None
    low, high = _chi_square_interval(1.7 * 0.25, found.noise_values)
    assert low <= found.noise_std <= high
    assert found.noise_multiplier == pytest.approx(found.noise_std / 0.25)
    assert found.clipped_norm <= 0.25
    assert found.clipped_norm > 0.15
    assert found.unit == ("record" if mechanism == "dp_sgd" else "client")
    assert found.sampler == ("poisson" if mechanism == "dp_sgd" else "full")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_measured_noise_follows_the_noise_multiplier(mechanism: str) -> None:
    stds = []
    for multiplier in (0.5, 1.0, 2.0):
        declared = privacy(mechanism, noise_multiplier=multiplier)
        found = train_federation(federation(rounds=4), declared, linear_model(), separable(60), seed=0).mechanism
        assert found.noise_std is not None
        stds.append(found.noise_std)
    # The same seed draws the same normal numbers, so the ratio is exact up to rounding.
    assert stds[1] / stds[0] == pytest.approx(2.0, rel=0.02)
    assert stds[2] / stds[1] == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_without_noise_nothing_is_measured_as_noise(mechanism: str) -> None:
    declared = privacy(mechanism, noise_multiplier=0.0)
    found = train_federation(federation(), declared, linear_model(), separable(60), seed=0).mechanism
    assert found.noise_std is None
    assert found.clipped_norm is not None


def test_no_mechanism_measures_nothing() -> None:
    found = train_federation(federation(), privacy(), linear_model(), separable(60), seed=0).mechanism
    assert (found.noise_std, found.clipped_norm, found.unit) == (None, None, "none")


def test_private_step_equals_opacus() -> None:
    """Same records, no noise: the state after two steps equals Opacus' own modules and optimiser."""
    model = FunctionalModel(linear_model())
    records, start, local = separable(12), model.initial_state(0), recipe(learning_rate=0.5, batch_size=6)
    declared = privacy("dp_sgd", noise_multiplier=0.0, clipping={"norm": 0.4}, sampling="shuffled")
    steps = PrivateSteps(model, mechanism_of(federation(), declared), Meter())
    batches = [torch.arange(6), torch.arange(6, 12)]
    found = steps.train(start, records, local, batches=batches, client=0, seed=0)

    module = nn.Linear(6, 3)
    module.load_state_dict(start)
    wrapped = GradSampleModule(module, loss_reduction="mean")
    inner = torch.optim.SGD(wrapped.parameters(), lr=0.5)
    optimiser = DPOptimizer(inner, noise_multiplier=0.0, max_grad_norm=0.4, expected_batch_size=6)
    for batch in batches:
        optimiser.zero_grad()
        nn.functional.cross_entropy(wrapped(records.inputs[batch]), records.labels[batch]).backward()
        optimiser.step()
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(found.state[name], tensor)


def test_an_empty_poisson_batch_still_adds_noise() -> None:
    model = FunctionalModel(linear_model())
    for kind in ("flat", "per_layer", "adaptive"):
        declared = privacy("dp_sgd", clipping={"norm": 0.4, "kind": kind})
        steps = PrivateSteps(model, mechanism_of(federation(), declared), Meter())
        empty = torch.zeros(0, dtype=torch.int64)
        found = steps.train(model.initial_state(0), separable(9), recipe(), batches=[empty], client=0, seed=0)
        assert flat(found.gradient).abs().min() > 0
        assert len(found.losses) == 0


def test_chunks_of_per_record_gradients_sum_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model = FunctionalModel(linear_model())
    declared = privacy("dp_sgd", noise_multiplier=0.0)
    whole, parts = (PrivateSteps(model, mechanism_of(federation(), declared), Meter()) for _ in range(2))
    arguments = {"batches": [torch.arange(10)], "client": 0, "seed": 0}
    one = whole.train(model.initial_state(0), separable(10), recipe(), **arguments)  # type: ignore[arg-type]
    monkeypatch.setattr("auditor.simulation.private_steps.CHUNK_VALUES", 3 * 21)
    two = parts.train(model.initial_state(0), separable(10), recipe(), **arguments)  # type: ignore[arg-type]
    torch.testing.assert_close(flat(one.gradient), flat(two.gradient))


def test_poisson_batches_have_binomial_sizes() -> None:
    local = recipe(batch_size=10, steps=3000)
    sizes = torch.tensor([float(len(b)) for b in private_batches(40, local, "poisson", 0)])
    # Binomial(40, 1/4): mean 10, variance 7.5; standard errors 0.05 and 0.19
    assert abs(sizes.mean().item() - 10) < 0.2
    assert abs(sizes.var().item() - 7.5) < 0.8


@pytest.mark.parametrize(
    ("sampling", "sizes", "denominator"),
    [("fixed_size", [4] * 5, 4), ("full", [10] * 5, 10), ("shuffled", [4, 4, 2, 4, 4, 2], 4)],
)
def test_other_samplers(sampling: str, sizes: list[int], denominator: int) -> None:
    local = recipe(batch_size=4, steps=5, epochs=2)
    assert [len(batch) for batch in private_batches(10, local, sampling, 0)] == sizes
    assert expected_batch(10, local, sampling) == denominator


def test_clip_bounds_the_norm_and_keeps_the_direction() -> None:
    update = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[4.0]])}
    found = clip_update(update, 1.0)
    assert total_norm(found.values()).item() == pytest.approx(1.0, rel=1e-5)
    torch.testing.assert_close(found["b"] / found["a"][0], torch.tensor([[4.0 / 3.0]]))
    untouched = clip_update(update, 100.0)
    assert all(torch.equal(untouched[name], update[name]) for name in update)
    layered = clip_update(update, 1.0, per_layer=True)
    assert layered["a"].norm().item() == pytest.approx(1 / math.sqrt(2), rel=1e-5)
    assert layered["b"].norm().item() == pytest.approx(1 / math.sqrt(2), rel=1e-5)


@pytest.mark.parametrize("update", [{"quantise_bits": 2}, {"top_k": 0.3}, {"prune": 0.5, "quantise_bits": 1}])
def test_compression_never_lifts_a_clipped_update_above_its_bound(update: dict[str, object]) -> None:
    setting = federation(update=update)
    found = train_federation(
        setting, privacy("dp_fedavg", clipping={"norm": 0.1}), linear_model(), separable(60), seed=0
    )
    assert found.mechanism.clipped_norm is not None
    assert found.mechanism.clipped_norm <= 0.1


def test_client_level_sums_ignore_client_sizes() -> None:
    """With a bound on a sum, each client counts once: the model moves by the sum over the expected cohort."""
    setting = federation(clients=2, rounds=1, partition={"scheme": "by_column", "column": "c"})
    records = separable(40)
    groups = torch.tensor([0] * 30 + [1] * 10)
    declared = privacy("dp_fedavg", noise_multiplier=0.0, clipping={"norm": 0.01})
    start = FunctionalModel(linear_model()).initial_state(0)
    arguments = {"groups": groups, "seed": 0, "initial": start}
    found = train_federation(setting, declared, linear_model(), records, **arguments)  # type: ignore[arg-type]
    parts = [records[groups == group] for group in (0, 1)]
    alone = [
        train_federation(federation(clients=1, rounds=1), declared, linear_model(), part, seed=0, initial=start).state
        for part in parts
    ]
    moves = [flat(state) - flat(start) for state in alone]
    # Every update is clipped to the same length, so the direction shows the weights: shuffles differ, hence the slack.
    together = flat(found.state) - flat(start)
    torch.testing.assert_close(together, (moves[0] + moves[1]) / 2, rtol=0.2, atol=1e-3)


def test_distributed_shares_sum_to_the_full_noise_with_drop_outs() -> None:
    secure = {"enabled": True, "threshold": 5, "dropout": 0.2}
    mechanism = mechanism_of(federation(clients=10, aggregation={"secure": secure}), privacy("distributed"))
    assert mechanism.share_factor == pytest.approx(1 / math.sqrt(5))
    plain = mechanism_of(federation(clients=9), privacy("distributed"))
    assert plain.share_factor == pytest.approx(1 / 3)
    dishonest = privacy("distributed", override={"honest_fraction": 0.25, "reason": "three in four may collude"})
    assert mechanism_of(federation(clients=16), dishonest).share_factor == pytest.approx(0.5)


def test_tree_noise_of_a_prefix_has_one_term_for_each_set_bit() -> None:
    like = {"w": torch.zeros(20_000)}
    tree, prefix = NoiseTree(0), torch.zeros(20_000)
    for t in range(1, 17):
        prefix = prefix + tree.next(like, 2.0)[0]["w"]
        expected = 2.0 * math.sqrt(bin(t).count("1"))
        low, high = _chi_square_interval(expected, 20_000, level=0.99999)
        assert low <= prefix.square().mean().sqrt().item() <= high


def test_adaptive_clipping_moves_towards_the_quantile() -> None:
    clipping = {"norm": 1e-3, "kind": "adaptive", "quantile": 0.5}
    declared = privacy("dp_fedavg", noise_multiplier=0.0, clipping={**clipping, "count_noise": 0.0})
    setting = federation(clients=8, rounds=60, local={"learning_rate": 0.01, "batch_size": 8})
    found = train_federation(setting, declared, linear_model(), separable(160), seed=0).mechanism
    assert found.clipped_norm is not None
    assert found.clipped_norm > 3e-3
    assert found.clipped_share is not None
    assert 0.3 < found.clipped_share < 1.0


def test_adaptive_clipping_adds_the_noise_that_the_count_costs() -> None:
    declared = privacy("dp_sgd", noise_multiplier=1.0, clipping={"norm": 1.0, "kind": "adaptive", "count_noise": 1.0})
    mechanism = mechanism_of(federation(), declared)
    assert mechanism.applied_multiplier == pytest.approx((1 - 0.25) ** -0.5)
    found = train_federation(federation(rounds=8), declared, linear_model(), separable(60), seed=0).mechanism
    assert found.noise_multiplier is not None
    low, high = _chi_square_interval(mechanism.applied_multiplier, found.noise_values)
    assert low <= found.noise_multiplier <= high


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clipping": None}, "without 'clipping'"),
        ({"noise_multiplier": None}, "without 'noise_multiplier'"),
        ({"clipping": {"norm": 1.0, "kind": "adaptive", "count_noise": 0.1}}, "too little for noise_multiplier"),
    ],
)
def test_incomplete_mechanisms_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        mechanism_of(federation(), privacy("dp_sgd", **changes))


def test_noise_on_a_sum_needs_the_mean() -> None:
    with pytest.raises(SimulationError, match="puts noise on a sum"):
        mechanism_of(federation(aggregation={"rule": "median"}), privacy("dp_fedavg"))
    assert mechanism_of(federation(aggregation={"rule": "median"}), privacy("local")).kind == "local"


def test_record_level_clipping_with_batch_norm_in_train_mode_is_refused() -> None:
    model = shared(BatchNormNet, (6,))
    with pytest.raises(LearningError, match=r"BatchNorm in train mode mixes.*federation\.batch_norm"):
        train_federation(federation(), privacy("dp_sgd"), model, separable(60), seed=0)
    train_federation(federation(batch_norm="eval"), privacy("dp_sgd"), model, separable(60), seed=0)


def test_unprotected_batch_norm_statistics_are_noted() -> None:
    found = train_federation(federation(), privacy("dp_fedavg"), shared(BatchNormNet, (6,)), separable(60), seed=0)
    assert any("BatchNorm statistics" in note for note in found.notes)


def test_more_noise_moves_the_model_further_from_the_noiseless_one() -> None:
    states = [
        flat(
            train_federation(
                federation(), privacy("dp_sgd", noise_multiplier=z), linear_model(), separable(60), seed=0
            ).state
        )
        for z in (0.0, 0.1, 1.0, 10.0)
    ]
    distances = [float((state - states[0]).norm()) for state in states[1:]]
    assert distances[0] < distances[1] < distances[2]


def test_noise_of_a_client_is_independent_of_who_came_before() -> None:
    model = FunctionalModel(linear_model())
    setting, declared, records = federation(), privacy("dp_sgd"), separable(30)
    start = model.initial_state(0)

    def work(order: list[int]) -> dict[int, torch.Tensor]:
        clients = Clients(model, setting, mechanism_of(setting, declared), Meter())
        return {c: flat(clients.work(start, records, client=c, seed=c).update) for c in order}

    forwards, backwards = work([0, 1, 2]), work([2, 1, 0])
    assert all(torch.equal(forwards[c], backwards[c]) for c in forwards)
    assert not torch.equal(forwards[0], forwards[1])


def test_steps_of_the_recipe_are_the_steps_of_the_sampler() -> None:
    local = local_recipe(federation(local={"batch_size": 8, "epochs": 3}), 20)
    assert len(private_batches(20, local, "poisson", 0)) == local.steps == 9
