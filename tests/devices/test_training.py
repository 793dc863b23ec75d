"""Local training, federations, views and canaries compute on the pretended device what they compute on the CPU."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from auditor.auditing.mechanism import play
from auditor.auditing.one_shot import play_clients
from auditor.auditing.relabelled import play_labels
from auditor.config.scenario import PartSettings
from auditor.core.grants import Grant
from auditor.core.shape import Task
from auditor.learning.choice import train_many
from auditor.learning.functional import FunctionalModel
from auditor.learning.local import batch_order, train_locally
from auditor.learning.many import Job
from auditor.observations.records import Records
from auditor.simulation.lockstep import train_federations
from auditor.simulation.observe import observe_updates
from auditor.simulation.rounds import train_federation
from tests.auditing.test_mechanism_audit import RIGHT, setup
from tests.devices.compared import all_held, on_both
from tests.devices.pretended import Held
from tests.learning.models import Attention, BatchNormNet, cnn, images, mlp, recipe, shared, table
from tests.simulation.cases import federation, linear_model, privacy, separable

MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Records], tuple[int, ...]]] = {
    "mlp": (mlp, table, (6,)),
    "convolutions": (cnn, images, (1, 6, 6)),
    "batch norm": (BatchNormNet, table, (6,)),
    "attention": (Attention, lambda n: _tokens(n), (5,)),
}
RECIPES: dict[str, dict[str, object]] = {
    "sgd": {"momentum": 0.9},
    "adam": {"optimizer": "adam", "learning_rate": 0.01},
    "proximal": {"algorithm": "fedprox", "proximal": 0.2},
}


def _tokens(n: int) -> Records:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 11, (n, 5), generator=generator)
    return Records(tokens, tokens)


def _loss(name: str) -> dict[str, Any]:
    return {"task": Task.LANGUAGE_MODEL} if name == "attention" else {}


@pytest.mark.parametrize("how", ["serial", "stacked"])
@pytest.mark.parametrize(
    ("name", "local"), [(name, "sgd") for name in MODELS] + [("mlp", "adam"), ("batch norm", "proximal")]
)
def test_clients_train(name: str, local: str, how: Any) -> None:
    build, records, shape = MODELS[name]
    known = shared(build, shape, **_loss(name))

    def work(device: str) -> Any:
        model = FunctionalModel(known, device=device)
        jobs = [Job(model.initial_state(seed), batch_order(8, recipe(**RECIPES[local]), seed), seed) for seed in (1, 2)]
        found = train_many(model, jobs, records(8).to(device), recipe(**RECIPES[local]), how=how)
        return [each.state for each in found.results]

    assert all_held(on_both(work))


@pytest.mark.parametrize("name", ["mlp", "batch norm"])
def test_a_training_can_be_differentiated(name: str) -> None:
    """Gradient matching differentiates through local steps: derivatives of derivatives."""
    build, records, shape = MODELS[name]
    known, given = shared(build, shape, **_loss(name)), records(6)

    def work(device: str) -> Any:
        model = FunctionalModel(known, device=device)
        start = model.initial_state(1)
        leaves = [start[key].requires_grad_() for key in model.trainable]
        trained = train_locally(
            model, start, given.to(device), recipe(), batches=batch_order(6, recipe(), 1), differentiable=True
        )
        first = torch.autograd.grad(_size(trained.state[key] for key in model.trainable), leaves, create_graph=True)
        return torch.autograd.grad(_size(first), leaves)

    assert all_held(on_both(work))


def _size(values: Iterable[Tensor]) -> Tensor:
    return torch.stack([value.square().sum() for value in values]).sum()


@pytest.mark.parametrize("name", ["mlp", "convolutions", "attention"])
def test_gradients_of_records(name: str) -> None:
    build, records, shape = MODELS[name]
    known = shared(build, shape, **_loss(name))

    def work(device: str) -> Any:
        model = FunctionalModel(known, device=device)
        return model.per_record_gradients(model.initial_state(1), records(6).to(device), chunk=4, training=True)

    assert all_held(on_both(work))


FEDERATIONS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "fedsgd": ({"algorithm": "fedsgd"}, {}),
    "skewed, some clients": (
        {"partition": {"scheme": "dirichlet", "alpha": 0.3}, "participation": {"scheme": "poisson", "rate": 0.5}}, {},
    ),
    "compressed, median": ({"update": {"top_k": 0.5, "quantise_bits": 8}, "aggregation": {"rule": "median"}}, {}),
    "trimmed mean": ({"aggregation": {"rule": "trimmed_mean"}}, {}),
    "secure sums": ({"aggregation": {"secure": {"threshold": 2, "dropout": 0.2}}}, {}),
    "noise on records": ({}, {"mechanism": "dp_sgd"}),
    "noise on records, by layer": ({}, {"mechanism": "dp_sgd", "clipping": {"norm": 0.3, "kind": "per_layer"}}),
    "noise on records, shuffled": ({}, {"mechanism": "dp_sgd", "sampling": "shuffled"}),
    "noise of the server": ({}, {"mechanism": "dp_fedavg"}),
    "noise of the server, adaptive": (
        {}, {"mechanism": "dp_fedavg", "clipping": {"kind": "adaptive", "norm": 0.5, "quantile": 0.5}},
    ),
    "noise of clients": ({}, {"mechanism": "local"}),
    "shares of noise": ({}, {"mechanism": "distributed"}),
    "tree of noise": ({}, {"mechanism": "dp_ftrl"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FEDERATIONS)
def test_federations(name: str) -> None:
    changes, private = FEDERATIONS[name]
    declared = privacy(**private)  # type: ignore[arg-type]

    def work(device: str) -> Any:
        setting, pool = federation(**{"rounds": 2, **changes}), separable(40)
        alone = train_federation(setting, declared, linear_model(), pool, seed=3, device=device)
        subsets = [torch.arange(0, 40, 2), torch.arange(30)]
        both = train_federations(
            setting, declared, linear_model(), pool, subsets, seeds=[4, 5], device=device, how="stacked"
        )
        return [alone.state, *(each.state for each in both.results)]

    assert all_held(on_both(work))


def test_the_faster_way_is_chosen_on_the_device_itself() -> None:
    def work(device: str) -> Any:
        subsets = [torch.arange(0, 60, 2), torch.arange(40)]
        found = train_federations(
            federation(rounds=1),
            privacy(),
            linear_model(),
            separable(60),
            subsets,
            seeds=[4, 5],
            device=device,
            how="auto",
        )
        assert "vmap" not in found.choice.reason, "an error on the device would look like a model that vmap refuses"
        return [each.state for each in found.results]

    on_both(work)


VIEWS: dict[str, dict[str, object]] = {
    "client": {}, "aggregate": {}, "sums": {"participation": {"scheme": "fixed_size", "count": 2}}, "checkpoint": {},
    "part": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("view", "mechanism"),
    [(view, "none") for view in VIEWS] + [("client", "dp_sgd"), ("client", "local"), ("aggregate", "dp_fedavg")],
)
def test_views(view: Any, mechanism: str) -> None:
    known = shared(BatchNormNet, (6,)) if mechanism == "none" else linear_model()

    def work(device: str) -> Any:
        return observe_updates(
            federation(local={"batch_size": 4, "learning_rate": 0.1, "momentum": 0.9}, **VIEWS[view]),
            privacy(mechanism), known, separable(48), state=FunctionalModel(known, device=device).initial_state(0),
            view=view, count=2, seed=5, device=device, part=PartSettings(layer="first"),
            grants=frozenset({Grant.LABELS, Grant.BATCH_NORM_STATISTICS, Grant.MODEL_WEIGHTS}),
        )  # fmt: skip

    on_both(work)


@pytest.mark.parametrize("name", RIGHT)
def test_canaries_of_a_mechanism(name: str) -> None:
    found = on_both(lambda device: play(setup(*RIGHT[name], canaries=40), seed=1, device=device))
    assert not any(isinstance(one, Held) for one in (found.scores, found.included)), "scores are read by numpy"


def test_canaries_with_wrong_labels() -> None:
    found = on_both(
        lambda device: play_labels(
            federation(rounds=2), privacy("dp_sgd"), linear_model(), separable(60),
            groups=None, canaries=20, seed=1, device=device,
        )
    )  # fmt: skip
    assert not all_held(found)


def test_canaries_that_are_clients() -> None:
    found = on_both(
        lambda device: play_clients(
            federation(rounds=2, participation={"scheme": "full"}), privacy("dp_fedavg", sampling="full"),
            linear_model(), separable(60), groups=None, canaries=10, seed=1, device=device,
        )
    )  # fmt: skip
    assert not all_held(found)
