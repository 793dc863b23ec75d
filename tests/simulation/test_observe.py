"""What an adversary sees, and the truth beside it."""

import dataclasses
import math

import pytest
import torch

from auditor.core.grants import Grant
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from auditor.observations.released import Aggregate, ClientUpdate
from auditor.simulation.errors import SimulationError
from auditor.simulation.grants import effective_grants
from auditor.simulation.observe import ObservedUpdate, observe_updates
from auditor.simulation.partition import partition
from auditor.simulation.release import accumulated
from tests.learning.models import BatchNormNet, recipe, shared
from tests.simulation.cases import federation, flat, linear_model, privacy, separable

NONE: frozenset[Grant] = frozenset()


def _observe(
    setting: object, declared: object, *, view: str = "client", count: int = 3, **more: object
) -> list[ObservedUpdate]:
    model = more.pop("model", linear_model())
    values: dict[str, object] = {
        "state": FunctionalModel(model).initial_state(0),  # type: ignore[arg-type]
        "view": view,
        "count": count,
        "seed": 5,
        "grants": NONE,
        **more,
    }
    return observe_updates(setting, declared, model, separable(48), **values)  # type: ignore[arg-type]


def test_fedsgd_observation_is_the_gradient_of_its_truth() -> None:
    setting = federation(algorithm="fedsgd")
    model = FunctionalModel(linear_model())
    for seen in _observe(setting, privacy()):
        found = seen.observation
        assert isinstance(found, ClientUpdate)
        assert (found.kind, found.records, len(seen.truth)) == ("gradient", 8, 8)
        gradient = model.gradient(found.before, seen.truth)
        for name in gradient:
            torch.testing.assert_close(found.update[name], gradient[name])


def test_fedavg_of_one_step_is_learning_rate_times_gradient() -> None:
    setting = federation(local={"batch_size": 50, "learning_rate": 0.2})
    model = FunctionalModel(linear_model())
    for seen in _observe(setting, privacy()):
        assert seen.observation.kind == "difference"
        assert len(seen.truth) == 12
        gradient = model.gradient(seen.observation.before, seen.truth)
        for name in gradient:
            torch.testing.assert_close(seen.observation.update[name], -0.2 * gradient[name])


def test_aggregate_is_the_gradient_of_all_its_truth() -> None:
    setting = federation(algorithm="fedsgd", local={"batch_size": 50}, clients=5)
    model = FunctionalModel(linear_model())
    (seen,) = _observe(setting, privacy(), view="aggregate", count=1)
    assert isinstance(seen.observation, Aggregate)
    assert (seen.observation.clients, seen.observation.records) == (5, 48)
    gradient = model.gradient(seen.observation.before, seen.truth)
    for name in gradient:
        torch.testing.assert_close(seen.observation.update[name], gradient[name])


def test_observations_hold_no_truth() -> None:
    for view in ("client", "aggregate"):
        for seen in _observe(federation(), privacy(), view=view):
            fields = {f.name: getattr(seen.observation, f.name) for f in dataclasses.fields(seen.observation)}
            assert fields["labels"] is None
            assert fields.get("buffers_after") is None
            assert not any(isinstance(value, Records) for value in fields.values())
            tensors = [t for value in fields.values() if isinstance(value, dict) for t in value.values()]
            assert all(t.shape[:1] != (len(seen.truth),) or t.dim() < 2 for t in tensors)


def test_labels_and_batch_norm_statistics_only_when_granted() -> None:
    model = shared(BatchNormNet, (6,))
    grants = frozenset({Grant.LABELS, Grant.BATCH_NORM_STATISTICS})
    (seen,) = _observe(federation(), privacy(), count=1, model=model, grants=grants)
    assert isinstance(seen.observation, ClientUpdate)
    assert seen.observation.labels is not None
    assert torch.equal(seen.observation.labels, seen.truth.labels)
    assert seen.observation.buffers_after is not None
    before = seen.observation.before["norm.running_mean"]
    assert not torch.equal(seen.observation.buffers_after["norm.running_mean"], before)
    (blind,) = _observe(federation(), privacy(), count=1, model=model)
    assert isinstance(blind.observation, ClientUpdate)
    assert blind.observation.buffers_after is None


def test_each_client_is_seen_once_before_any_is_seen_again() -> None:
    parts = partition(federation(clients=4), separable(48), groups=None, seed=5)
    seen = _observe(federation(clients=4), privacy(), count=8)
    owners = [_owner(each.truth, parts) for each in seen]
    assert sorted(owners[:4]) == [0, 1, 2, 3]
    assert sorted(owners[4:]) == [0, 1, 2, 3]


def _owner(truth: Records, parts: list[torch.Tensor]) -> int:
    records = separable(48)
    for client, part in enumerate(parts):
        if any(torch.equal(truth.inputs[0], row) for row in records.inputs[part]):
            return client
    raise AssertionError("the truth is nobody's record")


def test_partition_seed_keeps_the_training_runs_clients() -> None:
    parts = partition(federation(clients=4), separable(48), groups=None, seed=77)
    seen = _observe(federation(clients=4), privacy(), count=4, partition_seed=77)
    for each in seen:
        part = parts[_owner(each.truth, parts)]
        held = {tuple(row.tolist()) for row in separable(48).inputs[part]}
        assert {tuple(row.tolist()) for row in each.truth.inputs} == held


def test_observations_follow_the_seed_and_differ_among_themselves() -> None:
    one, again = (_observe(federation(), privacy("dp_sgd"), count=3) for _ in range(2))
    for a, b in zip(one, again, strict=True):
        assert torch.equal(flat(dict(a.observation.update)), flat(dict(b.observation.update)))
    assert not torch.equal(flat(dict(one[0].observation.update)), flat(dict(one[1].observation.update)))
    longer = _observe(federation(), privacy("dp_sgd"), count=5)
    assert torch.equal(flat(dict(one[2].observation.update)), flat(dict(longer[2].observation.update)))


@pytest.mark.parametrize(
    ("mechanism", "factor", "clipped"),
    [("none", 0.0, "none"), ("dp_fedavg", 0.0, "client"), ("local", 1.0, "client"), ("distributed", 0.5, "client")],
)
def test_what_is_stated_about_a_client_update(mechanism: str, factor: float, clipped: str) -> None:
    """A server that adds the noise itself receives updates without it; that is stated, not hidden."""
    declared = privacy(mechanism)
    for seen in _observe(federation(clients=4), declared):
        stated = seen.observation.privatisation
        assert stated.noise_std == pytest.approx(factor * 1.0 * 0.5)
        assert stated.clipped == clipped
        if mechanism == "dp_fedavg":
            assert flat(dict(seen.observation.update)).norm() <= 0.5


@pytest.mark.parametrize("algorithm", ["fedsgd", "fedavg"])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_stated_noise_of_dp_sgd_is_the_noise_in_the_update(algorithm: str, momentum: float) -> None:
    """Against the same work without noise, over many draws; learning rate small, so that the loss is nearly flat."""
    local = {"batch_size": 6, "learning_rate": 1e-3, "epochs": 2, "momentum": momentum}
    setting = federation(algorithm=algorithm, clients=2, local=local)
    runs = [_observe(setting, privacy("dp_sgd", noise_multiplier=z, sampling="full"), count=50) for z in (0.0, 1.0)]
    noise = torch.cat(
        [
            flat(dict(noisy.observation.update)) - flat(dict(quiet.observation.update))
            for quiet, noisy in zip(*runs, strict=True)
        ]
    )
    stated = runs[1][0].observation.privatisation.noise_std
    assert noise.std().item() == pytest.approx(stated, rel=0.08)


@pytest.mark.parametrize("mechanism", ["dp_sgd", "local", "distributed", "dp_fedavg"])
@pytest.mark.parametrize("observer", ["server", "participant"])
def test_stated_noise_of_an_aggregate_is_the_noise_in_it(mechanism: str, observer: str) -> None:
    setting = federation(algorithm="fedsgd", clients=4)
    sampling = "full" if mechanism == "dp_sgd" else "poisson"
    runs = [
        _observe(
            setting,
            privacy(mechanism, noise_multiplier=z, sampling=sampling),
            view="aggregate",
            count=50,
            observer=observer,
        )
        for z in (0.0, 1.0)
    ]
    noise = torch.cat(
        [
            flat(dict(noisy.observation.update)) - flat(dict(quiet.observation.update))
            for quiet, noisy in zip(*runs, strict=True)
        ]
    )
    stated = runs[1][0].observation.privatisation.noise_std
    assert (stated == 0) == (mechanism == "dp_fedavg" and observer == "server")
    assert noise.std().item() == pytest.approx(stated, rel=0.08, abs=1e-6)


def test_noise_of_a_step_accumulates_by_the_closed_form() -> None:
    assert accumulated(recipe(learning_rate=0.1, steps=9)) == pytest.approx(0.3)
    one = accumulated(recipe(learning_rate=0.1, steps=1, momentum=0.9))
    assert one == pytest.approx(0.1)
    two = accumulated(recipe(learning_rate=1.0, steps=2, momentum=0.5))
    assert two == pytest.approx(math.sqrt(1.5**2 + 1))


def test_compression_is_stated_and_done() -> None:
    setting = federation(update={"top_k": 0.25, "quantise_bits": 3})
    for seen in _observe(setting, privacy()):
        values = flat(dict(seen.observation.update))
        assert seen.observation.privatisation.kept_fraction == 0.25
        assert seen.observation.privatisation.quantise_bits == 3
        assert values.count_nonzero() <= math.ceil(0.25 * values.numel())


def test_layers_that_stay_at_home_are_not_in_the_update() -> None:
    (seen,) = _observe(federation(update={"layers": ["weight"]}), privacy(), count=1)
    assert set(seen.observation.update) == {"weight"}


def test_poisson_sampling_that_draws_nothing_is_drawn_again() -> None:
    setting = federation(algorithm="fedsgd", local={"batch_size": 1})
    seen = _observe(setting, privacy("dp_sgd"), count=12)
    assert all(len(each.truth) >= 1 for each in seen)


def test_no_records_at_all_is_an_error() -> None:
    with pytest.raises(SimulationError, match="No client holds any record"):
        observe_updates(
            federation(),
            privacy(),
            linear_model(),
            separable(9)[:0],
            state=FunctionalModel(linear_model()).initial_state(0),
            view="client",
            count=1,
            seed=0,
            grants=NONE,
        )


def test_rounds_that_never_reach_the_threshold_are_an_error() -> None:
    setting = federation(aggregation={"secure": {"enabled": True, "dropout": 1.0}})
    with pytest.raises(SimulationError, match="ended without enough clients"):
        _observe(setting, privacy(), view="aggregate")


def test_secure_aggregation_withholds_what_a_client_sends() -> None:
    granted = frozenset({Grant.CLIENT_UPDATE, Grant.BATCH_NORM_STATISTICS, Grant.LABELS})
    plain = effective_grants(granted, federation(), privacy())
    assert (plain.granted, plain.withheld) == (granted, {})
    secure = effective_grants(granted, federation(aggregation={"secure": {"enabled": True}}), privacy())
    assert secure.granted == {Grant.LABELS, Grant.AGGREGATE_UPDATE}
    assert set(secure.withheld) == {Grant.CLIENT_UPDATE, Grant.BATCH_NORM_STATISTICS}
    assert all("federation.aggregation.secure" in reason for reason in secure.withheld.values())


def test_secure_aggregation_adds_no_grant_to_an_outsider() -> None:
    secure = federation(aggregation={"secure": {"enabled": True}})
    found = effective_grants(frozenset({Grant.MODEL_QUERIES}), secure, privacy())
    assert found.granted == {Grant.MODEL_QUERIES}
